# bash completion for casebus-hub
_casebus_hub() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in init | run | rebuild | backup | restore | doctor | rotate-kek | passphrase) command=${COMP_WORDS[i]} ;; esac
    done
    case $previous in
    -o | --origin | --log-key | --authority-key) return ;;
    --passphrase-file | --new-passphrase-file) COMPREPLY=($(compgen -f -- "$word")) && return ;;
    -l | --listen) COMPREPLY=($(compgen -W 'tcp://127.0.0.1:7400 tcp://0.0.0.0:7400' -- "$word")) && return ;;
    esac
    if [[ $word == -* ]]; then
        local options='--passphrase-file --help --usage --version'
        case $command in
        init) options+=' --origin --suite --listen --log-key --authority-key' ;;
        backup) options+=' --verify' ;;
        restore) options+=' --keys --checkpoint --same-generation --leave-damaged' ;;
        doctor) options+=' --full' ;;
        passphrase) options+=' --new-passphrase-file --remove' ;;
        esac
        COMPREPLY=($(compgen -W "$options" -- "$word"))
    elif [[ -z $command ]]; then
        COMPREPLY=($(compgen -W 'init run rebuild backup restore doctor rotate-kek passphrase help' -- "$word"))
    else
        COMPREPLY=($(compgen -d -- "$word"))
    fi
}
complete -o filenames -F _casebus_hub casebus-hub
