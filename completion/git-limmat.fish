# fish completion for git limmat; fish's own completion of git asks for it.
# Written by packaging/completion.py; changes made here are lost.

# With a command: whether it is the one on the line; with a number too, whether so many arguments follow it.
function __git_limmat_at
    set -l command ''
    set -l position 0
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- ":$word" $__git_limmat_valued; or contains -- "$command:$word" $__git_limmat_valued
            set skip 1
        else if not string match -q -- '-*' $word
            if test -z "$command"
                set command $word
            else
                set position (math $position + 1)
            end
        end
    end
    if not set -q argv[1]
        test -n "$command"
    else if not set -q argv[2]
        test "$command" = $argv[1]
    else if set -q argv[3]
        test "$command" = $argv[1] -a $position -ge $argv[2]
    else
        test "$command" = $argv[1] -a $position -eq $argv[2]
    end
end

function __git_limmat_tests
    set -l words (commandline -opc)
    set -l config ''
    for place in (seq 1 (math (count $words) - 1))
        if contains -- $words[$place] -c --config
            set config $words[(math $place + 1)]
        end
    end
    sh -c '__git_limmat_tests () {
	limmat_file=${1:-${LIMMAT_CONFIG-}}
	if [ -z "$limmat_file" ]; then
		limmat_top=$(git rev-parse --show-toplevel 2>/dev/null) || limmat_top=.
		limmat_file=$(git config --path limmat.config 2>/dev/null) || limmat_file=
		case $limmat_file in
		\'\' | /*) ;;
		*) limmat_file=$limmat_top/$limmat_file ;;
		esac
		for limmat_place in . "$limmat_top"; do
			for limmat_name in limmat.toml .limmat.toml; do
				[ -n "$limmat_file" ] || [ ! -f "$limmat_place/$limmat_name" ] || limmat_file=$limmat_place/$limmat_name
			done
		done
	fi
	[ -f "$limmat_file" ] && awk \'/^[ \\t]*\\[/ { tests = /^[ \\t]*\\[\\[[ \\t]*"?tests"?[ \\t]*\\]\\]/; next }
tests && /^[ \\t]*"?name"?[ \\t]*=/ {
	sub(/^[^=]*=[ \\t]*/, "")
	quote = substr($0, 1, 1)
	if (quote == "\\"" || quote == sprintf("%c", 39)) {
		$0 = substr($0, 2)
		end = index($0, quote)
		if (end > 1) print substr($0, 1, end - 1)
	}
}\' "$limmat_file"
}
__git_limmat_tests "$@"' sh $config
end

function __git_limmat_revisions
    set -l before (string match -r -- '^.*\.\.\.?' (commandline -ct))
    for name in HEAD (git for-each-ref --format='%(refname:short)' refs/heads refs/tags refs/remotes 2>/dev/null)
        echo "$before$name"
    end
end

function __git_limmat_pages
    string split ' ' -- 'run watch web test get artifacts status show init forget gc config doctor list log notes prompt help queue format limmat.toml tutorial'
end

set -g __git_limmat_valued :-r :--repo :-c :--config :--result-db :--worktree-prefix :--worktree-dir :--num-worktrees :--git-binary :--tests :--skip-test run:-x run:--exec run:-j run:--jobs watch:-x watch:--exec watch:-j watch:--jobs watch:--http-sockaddr watch:--hostname web:--http-sockaddr web:--hostname gc:--size gc:--age gc:--count list:--test help:--completion queue:--by queue:-p queue:--priority queue:--rollup queue:--note queue:--level queue:-t queue:--test queue:--parent queue:-m queue:--message queue:--body queue:-F queue:--file queue:--status queue:--target queue:--author queue:--remote queue:--policy queue:--identity queue:--reviewer queue:--admin queue:--tryer queue:--url queue:--http-sockaddr queue:--hostname queue:--interval
complete -c git-limmat -f
complete -c git-limmat -n '__git_limmat_at log' -a '(complete -C "git log "(commandline -ct))'
complete -c git-limmat -n 'not __git_limmat_at' -s V -l version -d 'Print the version'
complete -c git-limmat -n 'not __git_limmat_at' -a run -d 'Run the selected tests on each commit'
complete -c git-limmat -n 'not __git_limmat_at' -a watch -d 'Test new commits as they are written, and show it live'
complete -c git-limmat -n 'not __git_limmat_at' -a web -d 'Show what is known in a browser'
complete -c git-limmat -n 'not __git_limmat_at' -a test -d 'Run one test in your worktree as it is'
complete -c git-limmat -n 'not __git_limmat_at' -a get -d 'Print the path of the output of a test'
complete -c git-limmat -n 'not __git_limmat_at' -a artifacts -d 'Print the path of the artifacts of a test'
complete -c git-limmat -n 'not __git_limmat_at' -a status -d 'Show what is known about commits'
complete -c git-limmat -n 'not __git_limmat_at' -a show -d 'Show all that is stored about a commit'
complete -c git-limmat -n 'not __git_limmat_at' -a init -d 'Set up a repository, or take that back'
complete -c git-limmat -n 'not __git_limmat_at' -a forget -d 'Remove stored results of commits'
complete -c git-limmat -n 'not __git_limmat_at' -a gc -d 'Drop old results and tidy up'
complete -c git-limmat -n 'not __git_limmat_at' -a config -d 'Show the effective configuration'
complete -c git-limmat -n 'not __git_limmat_at' -a doctor -d 'Check that everything git limmat needs is sound'
complete -c git-limmat -n 'not __git_limmat_at' -a list -d 'Print the ids of commits that have certain results'
complete -c git-limmat -n 'not __git_limmat_at' -a log -d 'Show the log of git with the results of each commit'
complete -c git-limmat -n 'not __git_limmat_at' -a notes -d 'Compare the notes that \'git log\' shows with the results'
complete -c git-limmat -n 'not __git_limmat_at' -a prompt -d 'Print a word about HEAD for the prompt of a shell'
complete -c git-limmat -n 'not __git_limmat_at' -a help -d 'Show a page of the manual'
complete -c git-limmat -n 'not __git_limmat_at' -a queue -d 'Test changes merged with what they will land on, and land those that pass'
complete -c git-limmat -s r -l repo -x -a '(__fish_complete_directories)' -d 'Use the repository in DIR'
complete -c git-limmat -s c -l config -x -a '(__fish_complete_path)' -d 'Read tests from FILE'
complete -c git-limmat -l result-db -x -a '(__fish_complete_directories)' -d 'Keep results in a bare repository at DIR'
complete -c git-limmat -l worktree-prefix -x -d 'Begin names of temporary worktrees so'
complete -c git-limmat -l worktree-dir -x -a '(__fish_complete_directories)' -d 'Use temporary worktrees, made in DIR'
complete -c git-limmat -l num-worktrees -x -d 'Use at most N worktrees at once'
complete -c git-limmat -l git-binary -x -a '(__fish_complete_path)' -d 'Call this git'
complete -c git-limmat -l color -f -a 'always auto never' -d 'Use colors always, never, or as git would: auto'
complete -c git-limmat -l tests -x -a '(__git_limmat_tests)' -d 'Select tests whose name matches (repeatable)'
complete -c git-limmat -l skip-test -x -a '(__git_limmat_tests)' -d 'Leave out tests whose name matches (repeatable)'
complete -c git-limmat -s h -l help -d 'Show the options'
complete -c git-limmat -n '__git_limmat_at run' -l stdin -d 'Read more revisions from standard input'
complete -c git-limmat -n '__git_limmat_at run' -s x -l exec -x -a '(__fish_complete_command)' -d 'Test with COMMAND, without a config'
complete -c git-limmat -n '__git_limmat_at run' -s j -l jobs -x -d 'Run at most N jobs at once'
complete -c git-limmat -n '__git_limmat_at run' -l fail-fast -d 'Stop at the first failure'
complete -c git-limmat -n '__git_limmat_at run' -l rerun -f -a 'errored failed all' -d 'Do not trust these known results'
complete -c git-limmat -n '__git_limmat_at run' -l no-cache -d 'Neither use nor store results'
complete -c git-limmat -n '__git_limmat_at run' -s n -l dry-run -d 'Only show what would run'
complete -c git-limmat -n '__git_limmat_at run' -l include-base -d 'Test the base, too'
complete -c git-limmat -n '__git_limmat_at run 0 or more' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at watch' -s x -l exec -x -a '(__fish_complete_command)' -d 'Test with COMMAND, without a config'
complete -c git-limmat -n '__git_limmat_at watch' -s j -l jobs -x -d 'Run at most N jobs at once'
complete -c git-limmat -n '__git_limmat_at watch' -l include-base -d 'Test the base, too'
complete -c git-limmat -n '__git_limmat_at watch' -l plain -d 'Append lines, also on a terminal'
complete -c git-limmat -n '__git_limmat_at watch' -l notify -f -a '(__fish_complete_command)' -d 'Notify the desktop, or run COMMAND'
complete -c git-limmat -n '__git_limmat_at watch' -l no-http -d 'Serve no pages'
complete -c git-limmat -n '__git_limmat_at watch' -l http-sockaddr -x -d 'Serve pages at this address'
complete -c git-limmat -n '__git_limmat_at watch' -l hostname -x -d 'Call this host so in links'
complete -c git-limmat -n '__git_limmat_at watch 0' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at web' -l http-sockaddr -x -d 'Serve pages at this address'
complete -c git-limmat -n '__git_limmat_at web' -l hostname -x -d 'Call this host so in links'
complete -c git-limmat -n '__git_limmat_at web 0' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at test 0' -a '(__git_limmat_tests)'
complete -c git-limmat -n '__git_limmat_at get' -l run -d 'Run the test if no result is stored'
complete -c git-limmat -n '__git_limmat_at get' -l exit-code -d 'Tell the outcome by the exit status'
complete -c git-limmat -n '__git_limmat_at get 0' -a '(__git_limmat_tests)'
complete -c git-limmat -n '__git_limmat_at get 1' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at get 2' -a 'stdout stderr output'
complete -c git-limmat -n '__git_limmat_at artifacts' -l run -d 'Run the test if no result is stored'
complete -c git-limmat -n '__git_limmat_at artifacts 0' -a '(__git_limmat_tests)'
complete -c git-limmat -n '__git_limmat_at artifacts 1' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at status' -l json -d 'Print one JSON document'
complete -c git-limmat -n '__git_limmat_at status' -l porcelain -d 'Print a stable line for each commit and test'
complete -c git-limmat -n '__git_limmat_at status' -l schema -d 'Print the JSON Schema of --json'
complete -c git-limmat -n '__git_limmat_at status' -l include-base -d 'Show the base, too'
complete -c git-limmat -n '__git_limmat_at status 0 or more' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at show' -s v -l verbose -d 'Show the ends of the output; twice: all of it'
complete -c git-limmat -n '__git_limmat_at show' -s a -l all -d 'Show each stored result, not just the newest'
complete -c git-limmat -n '__git_limmat_at show' -s q -l quickfix -d 'Show the places in files that failed tests have named'
complete -c git-limmat -n '__git_limmat_at show 0' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at show 1' -a '(__git_limmat_tests)'
complete -c git-limmat -n '__git_limmat_at init' -s y -l yes -d 'Do it without asking'
complete -c git-limmat -n '__git_limmat_at init' -s n -l dry-run -d 'Only show what would be done'
complete -c git-limmat -n '__git_limmat_at init' -l undo -d 'Take back what was done'
complete -c git-limmat -n '__git_limmat_at init' -l no-config -d 'Write no limmat.toml'
complete -c git-limmat -n '__git_limmat_at init' -l no-aliases -d 'Make no aliases'
complete -c git-limmat -n '__git_limmat_at init' -l no-hooks -d 'Install no hooks'
complete -c git-limmat -n '__git_limmat_at forget' -s n -l dry-run -d 'Only show what would be forgotten'
complete -c git-limmat -n '__git_limmat_at forget 0' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at forget 1 or more' -a '(__git_limmat_tests)'
complete -c git-limmat -n '__git_limmat_at gc' -l size -x -d 'Keep at most SIZE of outputs and artifacts'
complete -c git-limmat -n '__git_limmat_at gc' -l age -x -d 'Drop results older than AGE, such as 90d'
complete -c git-limmat -n '__git_limmat_at gc' -l count -x -d 'Keep the newest N results of a test on a subject'
complete -c git-limmat -n '__git_limmat_at gc' -l unreachable -d 'Drop results of commits no branch, tag or reflog reaches'
complete -c git-limmat -n '__git_limmat_at gc' -s n -l dry-run -d 'Only show what would be freed'
complete -c git-limmat -n '__git_limmat_at config' -l schema -d 'Print the JSON Schema of limmat.toml'
complete -c git-limmat -n '__git_limmat_at config' -l json -d 'Print one JSON document'
complete -c git-limmat -n '__git_limmat_at doctor' -l fix -d 'Mend what may be mended'
complete -c git-limmat -n '__git_limmat_at doctor' -l json -d 'Print one JSON document'
complete -c git-limmat -n '__git_limmat_at list' -l passed -d 'A test passed'
complete -c git-limmat -n '__git_limmat_at list' -l failed -d 'A test failed'
complete -c git-limmat -n '__git_limmat_at list' -l errored -d 'A test ended without a verdict'
complete -c git-limmat -n '__git_limmat_at list' -l skipped -d 'A test was skipped'
complete -c git-limmat -n '__git_limmat_at list' -l unknown -d 'Nothing is known of a test'
complete -c git-limmat -n '__git_limmat_at list' -l flaky -d 'A test has both passed and failed'
complete -c git-limmat -n '__git_limmat_at list' -l test -x -a '(__git_limmat_tests)' -d 'Look at this test (repeatable)'
complete -c git-limmat -n '__git_limmat_at list' -l any -d 'It is so for any of the tests'
complete -c git-limmat -n '__git_limmat_at list' -l all -d 'It is so for all of the tests'
complete -c git-limmat -n '__git_limmat_at list' -s z -d 'End each id with a NUL, not with a newline'
complete -c git-limmat -n '__git_limmat_at list' -l abbrev -d 'Print ids as short as git does'
complete -c git-limmat -n '__git_limmat_at list 0 or more' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at log 0 or more' -a '(__git_limmat_revisions)'
complete -c git-limmat -n '__git_limmat_at notes' -l rebuild -d 'Make all notes anew'
complete -c git-limmat -n '__git_limmat_at notes' -s n -l dry-run -d 'With --rebuild: only show what would be changed'
complete -c git-limmat -n '__git_limmat_at prompt' -l sh -d 'Print functions for a shell that do the same'
complete -c git-limmat -n '__git_limmat_at help' -l text -d 'Print plain text, also where man is there'
complete -c git-limmat -n '__git_limmat_at help' -l completion -x -a 'bash zsh fish' -d 'Print the completion of bash, zsh or fish'
complete -c git-limmat -n '__git_limmat_at help 0' -a '(__git_limmat_pages)'
complete -c git-limmat -n '__git_limmat_at queue' -l by -x -d 'Approve in the name of others'
complete -c git-limmat -n '__git_limmat_at queue' -s p -l priority -x -d 'Set its priority, too'
complete -c git-limmat -n '__git_limmat_at queue' -l rollup -x -a 'always maybe iffy never' -d 'Whether it is tested together with others'
complete -c git-limmat -n '__git_limmat_at queue' -l note -x -d 'Why it has that mode'
complete -c git-limmat -n '__git_limmat_at queue' -l repair -d 'Take its tests from the change itself (for admins)'
complete -c git-limmat -n '__git_limmat_at queue' -l level -x -a 'try review' -d 'What is allowed: review, or try'
complete -c git-limmat -n '__git_limmat_at queue' -s t -l test -x -a '(__git_limmat_tests)' -d 'Only this test, or glob (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -l parent -x -d 'Merge with this commit, not with the tip'
complete -c git-limmat -n '__git_limmat_at queue' -l cancel -d 'Stop the try instead'
complete -c git-limmat -n '__git_limmat_at queue' -s m -l message -x -d 'Say why (repeatable: a paragraph each)'
complete -c git-limmat -n '__git_limmat_at queue' -l body -x -d 'What more is to be said of it'
complete -c git-limmat -n '__git_limmat_at queue' -s F -l file -x -a '(__fish_complete_path)' -d 'Read it from FILE, - for stdin'
complete -c git-limmat -n '__git_limmat_at queue' -l status -x -d 'Only those that are so (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -l target -x -d 'Only those for it (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -l author -x -d 'Only those of NAME (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -s a -l all -d 'Also those that landed or were closed'
complete -c git-limmat -n '__git_limmat_at queue' -l json -d 'Print one JSON document'
complete -c git-limmat -n '__git_limmat_at queue' -l remote -x -d 'Show what was fetched of the queue of that remote'
complete -c git-limmat -n '__git_limmat_at queue' -s v -l verbose -d 'Show the ends of what failed tests have printed, too'
complete -c git-limmat -n '__git_limmat_at queue' -s y -l yes -d 'Do it without asking'
complete -c git-limmat -n '__git_limmat_at queue' -s n -l dry-run -d 'Only show what would be done'
complete -c git-limmat -n '__git_limmat_at queue' -l undo -d 'Take back what was done; timelines stay'
complete -c git-limmat -n '__git_limmat_at queue' -l policy -x -a 'merge linear squash autosquash' -d 'How a change becomes commits'
complete -c git-limmat -n '__git_limmat_at queue' -l identity -x -a 'os shell gitolite http' -d 'How the server knows people'
complete -c git-limmat -n '__git_limmat_at queue' -l reviewer -x -d 'Let NAME approve changes (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -l admin -x -d 'Let NAME do everything (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -l tryer -x -d 'Let NAME ask for tries (repeatable)'
complete -c git-limmat -n '__git_limmat_at queue' -l url -x -d 'Where the pages are'
complete -c git-limmat -n '__git_limmat_at queue' -l once -d 'End when nothing more can be done now, instead of waiting'
complete -c git-limmat -n '__git_limmat_at queue' -l http-sockaddr -x -d 'Serve pages at this address'
complete -c git-limmat -n '__git_limmat_at queue' -l hostname -x -d 'Call this host so in links'
complete -c git-limmat -n '__git_limmat_at queue' -l interval -x -d 'How long to wait between two looks'
complete -c git-limmat -n '__git_limmat_at queue 0' -a 'approve unapprove priority rollup delegate undelegate try retry cancel yield unroll close reopen retitle draft ready retarget comment list info show explain history pause resume tree-close tree-open help init serve web html follow diff share'
