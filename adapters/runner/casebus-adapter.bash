# bash completion for casebus-adapter(1)

_casebus_adapter_settings() {
    local names="node= endpoint= witnesses= witness_patience= outbox_keep_mb= renew_days= rejects= backfill=true source.file= source.format= source.encoding= source.delimiter= source.last_row=
        source.empty_values= source.filter. sink.file="
    mapfile -t COMPREPLY < <(compgen -W "$names" -- "$1")
    compopt -o nospace
}

_casebus_adapter() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        run | check | explain | join | status | passphrase) command=${COMP_WORDS[i]} ;;
        esac
    done
    case $before in
    -s | --set)
        _casebus_adapter_settings "$word"
        return
        ;;
    --language)
        mapfile -t COMPREPLY < <(compgen -W "zh en" -- "$word")
        return
        ;;
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --signing-key) return ;;
    --door)
        mapfile -t COMPREPLY < <(compgen -W "tcp://" -- "$word")
        return
        ;;
    --codes | --passphrase-file | --new-passphrase-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    case $word in
    -*)
        local options="--set --backfill --verbose --language --help --usage --version"
        case $command in
        run) options+=" --once --idle --from-start --passphrase-file" ;;
        check) options+=" --rows --codes" ;;
        join) options+=" --dir --door --signing-key --passphrase-file" ;;
        status) options+=" --json --passphrase-file" ;;
        passphrase) options+=" --passphrase-file --new-passphrase-file --remove" ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        ;;
    *)
        case $command in
        '') mapfile -t COMPREPLY < <(compgen -W "run check explain join status passphrase" -- "$word") ;;
        join) mapfile -t COMPREPLY < <(compgen -W "tcp://" -- "$word") ;;
        status | passphrase) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        explain) mapfile -t COMPREPLY < <(compgen -W "eventlog jsonl map" -- "$word") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -X '!*.y*ml' -- "$word"; compgen -d -S / -- "$word") ;;
        esac
        ;;
    esac
}

complete -o filenames -F _casebus_adapter casebus-adapter
