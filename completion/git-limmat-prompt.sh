# What git limmat knows about HEAD, as one short word for the prompt of a POSIX shell (dash, bash, zsh, ksh).
#
# It reads a few small files and starts no process, but one git when the current branch has only a packed ref;
# see git-limmat-prompt(1) for what the words mean, and gitlimmat/service/headword.py for the files.
#
#   bash:  . /path/to/git-limmat-prompt.sh
#          PS1='\w$(__git_limmat_ps1 " %s")\$ '
#   zsh:   . /path/to/git-limmat-prompt.sh
#          setopt PROMPT_SUBST; PROMPT='%~$(__git_limmat_ps1 " %s")%# '

# Print the word by a printf(1) format ("%s" when there is none), and nothing when there is nothing to say.
# Exits as the command before it did, like __git_ps1, so that $? can still be shown.
__git_limmat_ps1() {
	__gl_status=$?
	__git_limmat_word
	[ -z "$git_limmat_word" ] || printf "${1:-%s}" "$git_limmat_word"
	return "$__gl_status"
}

# Set git_limmat_word, without a subshell.
__git_limmat_word() {
	git_limmat_word=
	__gl_find || return 0
	__gl_common=$__gl_dir
	if [ -f "$__gl_dir/commondir" ]; then
		__gl_read "$__gl_dir/commondir"
		case $__gl_line in
		/*) __gl_common=$__gl_line ;;
		*) __gl_common=$__gl_dir/$__gl_line ;;
		esac
	fi
	__gl_words=${GIT_COMMON_DIR:-$__gl_common}/limmat/prompt
	[ -d "$__gl_words" ] || return 0
	__gl_read "$__gl_dir/HEAD"
	case $__gl_line in
	"ref: "*)
		__gl_ref=${__gl_line#ref: }
		__gl_line=
		[ ! -f "$__gl_common/$__gl_ref" ] || __gl_read "$__gl_common/$__gl_ref"
		case $__gl_line in
		'' | "ref: "*) __gl_line=$(git --git-dir="$__gl_dir" rev-parse -q --verify HEAD 2>/dev/null) || return 0 ;;
		esac
		;;
	esac
	case $__gl_line in
	'' | *[!0-9a-f]*) return 0 ;;
	esac
	[ -f "$__gl_words/$__gl_line" ] || return 0
	__gl_read "$__gl_words/$__gl_line"
	__gl_state=${__gl_line%% *}
	__gl_count=${__gl_line#* }
	__gl_pid=${__gl_count#* }
	__gl_count=${__gl_count%% *}
	case $__gl_count:$__gl_pid in
	:* | *: | *[!0-9:]*) return 0 ;;
	esac
	if [ "$__gl_state" = running ] && ! kill -0 "$__gl_pid" 2>/dev/null; then
		__gl_state=unknown
	fi
	case ${LC_ALL:-${LC_CTYPE:-${LANG-}}} in
	*[Uu][Tt][Ff]-8 | *[Uu][Tt][Ff]8) set -- ✓ ✗ ▸ ;;
	*) set -- ok x '>' ;;
	esac
	case $__gl_state in
	passed) git_limmat_word=${GIT_LIMMAT_PASSED:-$1} ;;
	failed) git_limmat_word=${GIT_LIMMAT_FAILED:-$2}$__gl_count ;;
	errored) git_limmat_word=${GIT_LIMMAT_ERRORED:-!}$__gl_count ;;
	running) git_limmat_word=${GIT_LIMMAT_RUNNING:-$3} ;;
	unknown) git_limmat_word=${GIT_LIMMAT_UNKNOWN:-?} ;;
	esac
}

# Set __gl_dir to the directory of the repository around us, by the rules of git(1) for GIT_DIR and .git.
__gl_find() {
	__gl_dir=${GIT_DIR-}
	[ -z "$__gl_dir" ] || return 0
	__gl_at=$PWD
	while [ -n "$__gl_at" ]; do
		if [ -d "$__gl_at/.git" ]; then
			__gl_dir=$__gl_at/.git
			return 0
		elif [ -f "$__gl_at/.git" ]; then
			__gl_read "$__gl_at/.git"
			__gl_dir=${__gl_line#gitdir: }
			case $__gl_dir in
			/*) ;;
			*) __gl_dir=$__gl_at/$__gl_dir ;;
			esac
			return 0
		elif [ -d "$__gl_at/objects" ] && [ -d "$__gl_at/refs" ]; then
			__gl_dir=$__gl_at
			return 0
		fi
		__gl_at=${__gl_at%/*}
	done
	return 1
}

# Set __gl_line to the first line of a file.
__gl_read() {
	__gl_line=
	{ IFS= read -r __gl_line || :; } 2>/dev/null <"$1"
}
