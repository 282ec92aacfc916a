# bash completion for git limmat, by git's own completion.
# Written by packaging/completion.py; changes made here are lost.

__git_limmat_tests () {
	limmat_file=${1:-${LIMMAT_CONFIG-}}
	if [ -z "$limmat_file" ]; then
		limmat_top=$(git rev-parse --show-toplevel 2>/dev/null) || limmat_top=.
		limmat_file=$(git config --path limmat.config 2>/dev/null) || limmat_file=
		case $limmat_file in
		'' | /*) ;;
		*) limmat_file=$limmat_top/$limmat_file ;;
		esac
		for limmat_place in . "$limmat_top"; do
			for limmat_name in limmat.toml .limmat.toml; do
				[ -n "$limmat_file" ] || [ ! -f "$limmat_place/$limmat_name" ] || limmat_file=$limmat_place/$limmat_name
			done
		done
	fi
	[ -f "$limmat_file" ] && awk '/^[ \t]*\[/ { tests = /^[ \t]*\[\[[ \t]*"?tests"?[ \t]*\]\]/; next }
tests && /^[ \t]*"?name"?[ \t]*=/ {
	sub(/^[^=]*=[ \t]*/, "")
	quote = substr($0, 1, 1)
	if (quote == "\"" || quote == sprintf("%c", 39)) {
		$0 = substr($0, 2)
		end = index($0, quote)
		if (end > 1) print substr($0, 1, end - 1)
	}
}' "$limmat_file"
}

# Set `kind` to what option $2 of command $1 takes: words, or the name of a kind. Fails when it takes nothing.
__git_limmat_kind () {
	kind=
	case "$1:$2" in
	*:-r|*:--repo) kind='directory' ;;
	*:-c|*:--config) kind='file' ;;
	*:--result-db) kind='directory' ;;
	*:--worktree-prefix) kind='nothing' ;;
	*:--worktree-dir) kind='directory' ;;
	*:--num-worktrees) kind='nothing' ;;
	*:--git-binary) kind='file' ;;
	*:--color) kind='=always auto never' ;;
	*:--tests) kind='test' ;;
	*:--skip-test) kind='test' ;;
	run:-x|run:--exec) kind='command' ;;
	run:-j|run:--jobs) kind='nothing' ;;
	run:--rerun) kind='=errored failed all' ;;
	watch:-x|watch:--exec) kind='command' ;;
	watch:-j|watch:--jobs) kind='nothing' ;;
	watch:--notify) kind='=command' ;;
	watch:--http-sockaddr) kind='nothing' ;;
	watch:--hostname) kind='nothing' ;;
	web:--http-sockaddr) kind='nothing' ;;
	web:--hostname) kind='nothing' ;;
	gc:--size) kind='nothing' ;;
	gc:--age) kind='nothing' ;;
	gc:--count) kind='nothing' ;;
	list:--test) kind='test' ;;
	help:--completion) kind='bash zsh fish' ;;
	queue:--by) kind='nothing' ;;
	queue:-p|queue:--priority) kind='nothing' ;;
	queue:--rollup) kind='always maybe iffy never' ;;
	queue:--note) kind='nothing' ;;
	queue:--level) kind='try review' ;;
	queue:-t|queue:--test) kind='test' ;;
	queue:--parent) kind='nothing' ;;
	queue:-m|queue:--message) kind='nothing' ;;
	queue:--body) kind='nothing' ;;
	queue:-F|queue:--file) kind='file' ;;
	queue:--status) kind='nothing' ;;
	queue:--target) kind='nothing' ;;
	queue:--author) kind='nothing' ;;
	queue:--remote) kind='nothing' ;;
	queue:--policy) kind='merge linear squash autosquash' ;;
	queue:--identity) kind='os shell gitolite http' ;;
	queue:--reviewer) kind='nothing' ;;
	queue:--admin) kind='nothing' ;;
	queue:--tryer) kind='nothing' ;;
	queue:--url) kind='nothing' ;;
	queue:--http-sockaddr) kind='nothing' ;;
	queue:--hostname) kind='nothing' ;;
	queue:--interval) kind='nothing' ;;
	*) return 1 ;;
	esac
}

__git_limmat_complete () {
	local name
	case "$1" in
	nothing) COMPREPLY=("") ;;
	test)
		COMPREPLY=()
		while IFS= read -r name; do
			printf -v name %q "$name"
			[[ $name != "$2"* ]] || COMPREPLY+=("$name ")
		done < <(__git_limmat_tests "$config")
		;;
	revision) cur=$2 __git_complete_revlist ;;
	page) __gitcomp "run watch web test get artifacts status show init forget gc config doctor list log notes prompt help queue format limmat.toml tutorial" "" "$2" ;;
	directory) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$2")) ;;
	file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$2")) ;;
	command) COMPREPLY=($(compgen -c -S ' ' -- "$2")) ;;
	*) __gitcomp "$1" "" "$2" ;;
	esac
}

_git_limmat () {
	local i name command= position=0 kind config= options=
	i=${__git_cmd_idx-}
	if [ -z "$i" ]; then
		for ((i = 0; i < cword; i++)); do
			[ "${words[i]}" != limmat ] || break
		done
	fi
	name=${words[i]##*/}
	[ "$name" != limmat ] || name=${COMP_WORDS[i]##*/} # where git's completion has not put `limmat` for an alias
	case "$name" in
	limmat|git-limmat|'') ;;
	*) read -r name command name < <(git config "alias.$name" 2>/dev/null) || : ;;
	esac
	for ((i++; i < cword; i++)); do
		case "${words[i]}" in
		-c|--config) config=${words[i + 1]} ;;
		--config=*) config=${words[i]#--config=} ;;
		esac
		case "${words[i]}" in
		--*=*) ;;
		-*)
			if __git_limmat_kind "$command" "${words[i]}" && [ "${kind#=}" = "$kind" ]; then
				((++i < cword)) || break
			fi
			;;
		*) if [ -z "$command" ]; then command=${words[i]}; else ((++position)); fi ;;
		esac
	done
	if [ "$command" = log ] && declare -F _git_log >/dev/null; then
		_git_log # which takes all that git log takes
		return
	fi
	case "$cur" in
	--*=*)
		if __git_limmat_kind "$command" "${cur%%=*}"; then
			__git_limmat_complete "${kind#=}" "${cur#*=}"
		fi
		return
		;;
	esac
	case "$prev" in
	-*)
		if __git_limmat_kind "$command" "$prev" && [ "${kind#=}" = "$kind" ]; then
			__git_limmat_complete "$kind" "$cur"
			return
		fi
		;;
	esac
	case "$cur" in
	-*)
		case "$command" in
		'') options=--version ;;
		run) options='--stdin --exec --jobs --fail-fast --rerun= --no-cache --dry-run --include-base' ;;
		watch) options='--exec --jobs --include-base --plain --notify= --no-http --http-sockaddr --hostname' ;;
		web) options='--http-sockaddr --hostname' ;;
		get) options='--run --exit-code' ;;
		artifacts) options='--run' ;;
		status) options='--json --porcelain --schema --include-base' ;;
		show) options='--verbose --all --quickfix' ;;
		init) options='--yes --dry-run --undo --no-config --no-aliases --no-hooks' ;;
		forget) options='--dry-run' ;;
		gc) options='--size --age --count --unreachable --dry-run' ;;
		config) options='--schema --json' ;;
		doctor) options='--fix --json' ;;
		list) options='--passed --failed --errored --skipped --unknown --flaky --test --any --all --abbrev' ;;
		notes) options='--rebuild --dry-run' ;;
		prompt) options='--sh' ;;
		help) options='--text --completion' ;;
		queue) options='--by --priority --rollup --note --repair --level --test --parent --cancel --message --body --file --status --target --author --all --json --remote --verbose --yes --dry-run --undo --policy --identity --reviewer --admin --tryer --url --once --http-sockaddr --hostname --interval' ;;
		esac
		__gitcomp "$options --repo --config --result-db --worktree-prefix --worktree-dir --num-worktrees --git-binary --color= --tests --skip-test --help"
		return
		;;
	esac
	if [ -z "$command" ]; then
		__gitcomp "run watch web test get artifacts status show init forget gc config doctor list log notes prompt help queue"
		return
	fi
	case "$command:$position" in
	run:*) kind='revision' ;;
	watch:0) kind='revision' ;;
	web:0) kind='revision' ;;
	test:0) kind='test' ;;
	get:0) kind='test' ;;
	get:1) kind='revision' ;;
	get:2) kind='stdout stderr output' ;;
	artifacts:0) kind='test' ;;
	artifacts:1) kind='revision' ;;
	status:*) kind='revision' ;;
	show:0) kind='revision' ;;
	show:1) kind='test' ;;
	forget:0) kind='revision' ;;
	forget:*) kind='test' ;;
	list:*) kind='revision' ;;
	log:*) kind='revision' ;;
	help:0) kind='page' ;;
	queue:0) kind='approve unapprove priority rollup delegate undelegate try retry cancel yield unroll close reopen retitle draft ready retarget comment list info show explain history pause resume tree-close tree-open help init serve web html follow diff share' ;;
	*) COMPREPLY=(); return ;;
	esac
	__git_limmat_complete "$kind" "$cur"
}

# `git-limmat` as a command of its own is completed in the same way, once git's completion is there.
if ! declare -F __git_complete >/dev/null && declare -F _completion_loader >/dev/null; then
	_completion_loader git
fi
if declare -F __git_complete >/dev/null; then
	__git_complete git-limmat _git_limmat
fi
