# fish 3.6.0 does not ask for the completion of git-* commands, though older and newer ones do; goes with it.
if test "$version" = 3.6.0
    complete -c git -f -n '__fish_git_using_command limmat' -a '(__fish_git_complete_custom_command limmat)'
end
