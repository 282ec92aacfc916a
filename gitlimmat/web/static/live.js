"use strict";
// Keeps a page as new as the board it shows. Everything here is a convenience: pages are whole without it.
(() => {
  const body = document.body;
  const status = document.getElementById("status");
  const icon = document.querySelector('link[rel="icon"]');
  body.classList.add("scripted");

  const query = new URLSearchParams(location.search);
  if (query.has("token")) { // it is in a cookie by now
    query.delete("token");
    const rest = query.toString();
    history.replaceState(null, "", location.pathname + (rest ? "?" + rest : "") + location.hash);
  }

  // Times

  const spans = [[31536000, "y"], [2592000, "mo"], [604800, "w"], [86400, "d"], [3600, "h"], [60, "min"]];
  const age = (seconds) => {
    for (const [size, unit] of spans) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    return "now";
  };
  const duration = (seconds) => {
    if (seconds < 59.95) return `${Math.max(0, seconds).toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
  };
  const tick = () => {
    if (document.hidden) return;
    const now = Date.now() / 1000;
    for (const each of document.querySelectorAll("[data-since]")) {
      const passed = now - Number(each.dataset.since);
      if (each.tagName === "PROGRESS") each.value = Math.min(1, passed / Number(each.dataset.whole));
      else each.textContent = duration(passed);
    }
  };
  const grow = () => {
    if (document.hidden) return;
    for (const each of document.querySelectorAll("main time.age, main .age time")) {
      const text = age((Date.now() - Date.parse(each.dateTime)) / 1000);
      if (each.textContent !== text) each.textContent = text;
    }
  };
  setInterval(tick, 1000);
  setInterval(grow, 30000);
  document.addEventListener("visibilitychange", () => { tick(); grow(); });

  // Parts of a page that are replaced

  const fragment = (text) => {
    const holder = document.createElement("template");
    holder.innerHTML = text;
    return holder.content;
  };
  const show = (title, state) => {
    if (title && document.title !== title) document.title = title;
    if (state && icon) {
      const href = `/favicon.svg?state=${state}`;
      if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
    }
  };

  // The overview

  let listed = null; // rows, until some come, go, or are hidden
  let columns = null;
  let fetching = false;
  let again = false;
  let kept = [];
  const column = (test) => {
    if (!columns) {
      columns = new Map();
      document.querySelectorAll("#table thead th").forEach((each, index) => {
        if (each.dataset.test !== undefined) columns.set(each.dataset.test, index);
      });
    }
    return columns.get(test);
  };
  const put = ([commit, test, text]) => {
    const row = document.getElementById("r" + commit);
    const index = column(test);
    const old = row && index !== undefined ? row.cells[index] : null;
    if (!old) return;
    const made = fragment(`<table><tr>${text}</tr></table>`).querySelector("td");
    if (old.outerHTML === made.outerHTML) return;
    const focused = old.contains(document.activeElement);
    if (old.className.split(" ")[1] !== made.className.split(" ")[1]) made.classList.add("fresh");
    old.replaceWith(made);
    if (focused) made.querySelector("a").focus();
  };
  const refetch = async () => {
    if (fetching) { again = true; return; }
    fetching = true;
    kept = [];
    try {
      const answer = await fetch(body.dataset.table, { cache: "no-store" });
      if (answer.ok) {
        const active = document.activeElement && document.activeElement.closest("#table a");
        const href = active ? active.getAttribute("href") : null;
        document.getElementById("table").replaceChildren(fragment(await answer.text()));
        columns = null;
        kept.forEach(put);
        narrow();
        mark(false);
        if (href) {
          const same = document.querySelector(`#table a[href="${CSS.escape(href)}"]`);
          if (same) same.focus({ preventScroll: true });
        }
      }
    } catch (error) { /* the stream says when the server is back */ }
    fetching = false;
    if (again) { again = false; refetch(); }
  };
  const overview = (news) => {
    show(news.title, news.state);
    for (const name of ["summary", "running"]) {
      const place = document.getElementById(name);
      const href = place.contains(document.activeElement) && document.activeElement.getAttribute("href");
      const list = place.querySelector("ul.running");
      const height = list ? list.scrollTop : 0;
      place.replaceChildren(fragment(news[name]));
      if (height && place.querySelector("ul.running")) place.querySelector("ul.running").scrollTop = height;
      const same = href && place.querySelector(`a[href="${CSS.escape(href)}"]`);
      if (same) same.focus({ preventScroll: true });
    }
    tick();
    if (news.layout || (body.dataset.only && news.cells.length)) refetch();
    if (fetching) kept.push(...news.cells);
    news.cells.forEach(put);
  };

  // Any other page

  const refresh = async () => {
    if (fetching) { again = true; return; }
    const active = document.activeElement; // nobody's words are taken away while they are being written
    if (active && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName) && active.closest("#main")) {
      active.addEventListener("blur", () => setTimeout(refresh, 1000), { once: true });
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok) {
        const found = new DOMParser().parseFromString(await answer.text(), "text/html");
        const name = document.activeElement && document.activeElement.id;
        document.getElementById("main").replaceWith(document.adoptNode(found.getElementById("main")));
        show(found.title, new URL(found.querySelector('link[rel="icon"]').href).searchParams.get("state"));
        if (name && document.getElementById(name)) document.getElementById(name).focus({ preventScroll: true });
        tick();
        narrow();
        mark(false);
        follow();
      }
    } catch (error) { /* as above */ }
    fetching = false;
    if (again) { again = false; refresh(); }
  };

  // Browsers open six connections to one server for all tabs together. So only overviews, whose tabs tell
  // the state, keep theirs while they cannot be seen; any other page that waits for an end looks now and then.

  let source = null;
  let epoch = null;
  let waiting = 0;
  const connect = () => {
    if (source || !body.dataset.live) return;
    source = new EventSource(body.dataset.live);
    source.addEventListener("change", (event) => {
      const news = JSON.parse(event.data);
      seen(event);
      if (body.dataset.kind === "overview") overview(news); else refresh();
    });
    source.addEventListener("hello", (event) => {
      const now = JSON.parse(event.data).version.split("-")[0];
      if (epoch !== null && epoch !== now) location.reload();
      epoch = now;
      seen(event);
      body.classList.remove("lost");
      status.textContent = "";
    });
    source.addEventListener("error", () => {
      body.classList.add("lost");
      status.textContent = "Connection lost. What is shown may be old.";
    });
  };
  const seen = (event) => {
    const url = new URL(body.dataset.live, location.href);
    url.searchParams.set("since", event.lastEventId);
    body.dataset.live = url.pathname + url.search;
  };
  const disconnect = () => {
    if (source) source.close();
    source = null;
    if (following) following.close();
    following = null;
  };
  const isBusy = () => icon && /state=(running|waiting)/.test(icon.href);
  document.addEventListener("visibilitychange", () => {
    clearInterval(waiting);
    if (!document.hidden) { connect(); follow(); } else if (body.dataset.kind !== "overview") {
      disconnect();
      waiting = setInterval(() => { if (isBusy()) refresh(); else clearInterval(waiting); }, 5000);
    }
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // Output of a running job

  let following = null;
  const most = 2000000;
  function follow() {
    const box = document.getElementById("output");
    if (following) { following.close(); following = null; }
    if (!box || !box.dataset.follow || document.hidden) return;
    const done = box.querySelector(".done");
    const tail = box.querySelector(".tail");
    const output = following = new EventSource(box.dataset.follow);
    let length = 0;
    const begin = () => { done.replaceChildren(); tail.replaceChildren(); length = 0; };
    output.addEventListener("begin", begin);
    output.addEventListener("output", (event) => {
      const [lines, rest] = JSON.parse(event.data);
      const low = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      if (lines) {
        const part = document.createElement("span");
        part.append(fragment(lines));
        part.dataset.length = lines.length;
        done.append(part);
        length += lines.length;
        while (length > most && done.firstChild !== part) {
          length -= Number(done.firstChild.dataset.length);
          done.firstChild.remove();
        }
      }
      tail.replaceChildren(fragment(rest));
      if (low) box.scrollTop = box.scrollHeight;
    });
    output.addEventListener("end", () => { output.close(); if (following === output) following = null; });
  }
  connect();
  follow();
  const box = document.getElementById("output");
  if (box && box.dataset.follow) box.scrollTop = box.scrollHeight;

  // Filter

  const field = document.getElementById("filter");
  function narrow() {
    listed = null;
    if (!field) return;
    const text = field.value.trim().toLowerCase();
    for (const row of document.querySelectorAll("#table tbody tr")) {
      row.words ??= row.classList.contains("art") ? "" : (row.id + " " + [...row.cells]
        .filter((each) => !each.classList.contains("t")).map((each) => each.textContent).join(" ")).toLowerCase();
      const hidden = Boolean(text) && !row.words.includes(text);
      if (row.hidden !== hidden) row.hidden = hidden;
    }
  }
  if (field) field.addEventListener("input", narrow);

  // Keys

  let at = -1;
  let across = 0;
  const rows = () => {
    if (!listed || (listed.length && !listed[0].isConnected)) {
      listed = [...document.querySelectorAll("#table tbody tr:not(.art), main [data-row]")]
        .filter((each) => !each.hidden);
    }
    return listed;
  };
  function mark(focus) {
    const all = rows();
    document.querySelectorAll(".at").forEach((each) => each.classList.remove("at"));
    if (at < 0 || !all.length) return;
    at = Math.min(at, all.length - 1);
    all[at].classList.add("at");
    if (!focus) return;
    const links = [...all[at].querySelectorAll("th a, td.t a, a")].filter((each) => each.tabIndex >= 0);
    across = Math.max(0, Math.min(across, links.length - 1));
    if (links.length) {
      links[across].focus({ preventScroll: true });
      all[at].scrollIntoView({ block: "nearest" });
    }
  }
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest ? event.target.closest("#table tbody tr, main [data-row]") : null;
    if (row && !row.classList.contains("at")) { at = rows().indexOf(row); mark(false); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      if (event.key === "Escape") {
        event.target.value = "";
        narrow();
        event.target.blur();
      }
      return;
    }
    const moves = { j: 1, k: -1 };
    const turns = { l: 1, h: -1 };
    if (event.key in moves) {
      at = Math.max(0, at + moves[event.key]);
      mark(true);
    } else if (event.key in turns) {
      at = Math.max(0, at);
      across += turns[event.key];
      mark(true);
    } else if (event.key === "/" && field) {
      field.focus();
      field.select();
    } else if (event.key === "u") {
      const up = document.querySelector("a[data-up]") || document.querySelector("a.repo");
      if (up) location.href = up.href;
      return;
    } else return;
    event.preventDefault();
  });
})();
