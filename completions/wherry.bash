# bash completion for wherry: the program itself knows its commands, flags and objects.
_wherry() {
    local IFS=$'\n'
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=($(wherry __complete -- "${words[@]}" 2>/dev/null))
    # A command that takes a file gets file names where nothing else fits.
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    fi
}
complete -o filenames -F _wherry wherry
