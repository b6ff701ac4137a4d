# bash completion for casebus(1)

# Names that the hub knows; silent when there is no hub.
_casebus_ask() {
    local hub=${CASEBUS_HUB-} i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --hub | -H) hub=${COMP_WORDS[i + 1]-} ;;
        --hub=*) hub=${COMP_WORDS[i]#--hub=} ;;
        esac
    done
    [[ -n $hub ]] && timeout 3 casebus --hub "$hub" --json "$@" 2>/dev/null
}

_casebus_nodes() {
    _casebus_ask node list | grep -o '"node":"[^"]*"' | cut -d '"' -f 4
}

_casebus_cases() {
    local prefix=$1
    # the list is in the order of the numbers: what comes behind the prefix is near
    _casebus_ask case list --limit 50 ${prefix:+--after "$prefix"} | grep -o '"number":"[^"]*"' | cut -d '"' -f 4
}

# The words of the command: group and verb, options and their values left out.
_casebus_words() {
    local i word
    words=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --hub | -H) ((i++)) ;;
        -*) ;;
        =) ((i++)) ;;
        *) words+=("$word") ;;
        esac
    done
}

_casebus() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} common="--hub --json --passphrase-file --help" words options=
    COMPREPLY=()
    _casebus_words
    case $prev in
    --hub | -H | --out | -o | --temp | --state)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --open)
        mapfile -t COMPREPLY < <(compgen -W "identity contact form opinion other" -- "$cur")
        return
        ;;
    --case)
        mapfile -t COMPREPLY < <(compgen -W "$(_casebus_cases "$cur")" -- "$cur")
        return
        ;;
    --trust | -t | --witness | -w | --witnesses | --token | --accept-key | --ca | -c | --passphrase-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --role)
        mapfile -t COMPREPLY < <(compgen -W "adapter receiver supervisor" -- "$cur")
        return
        ;;
    --parts)
        [[ ${words[1]-} == add || ${words[1]-} == invite ]] &&
            mapfile -t COMPREPLY < <(compgen -W "all identity contact form opinion other" -- "$cur") && return
        ;;
    --status | -s)
        mapfile -t COMPREPLY < <(compgen -W "nothing applied received supplement accepted refused stopped decided
            finished delivered withdrawn annulled" -- "$cur")
        return
        ;;
    --node | --of | --reader)
        mapfile -t COMPREPLY < <(compgen -W "$(_casebus_nodes)" -- "$cur")
        return
        ;;
    --department | -d | --area | -a | --endpoint | --limit | --last | -n | --after | --from | --to | --log-key | --event | --position | --why | --code | --since | --valid | --in | --every | --material | --quorum | --jobs | -J) return ;;
    esac
    case "${words[0]-} ${words[1]-}" in
    " ") options="status node hub incident case event prove verify erase erasure quarantine policy sharing ledger auditor state witness codes version help" ;;
    "node ") options="add invite requests approve refuse list show suspend resume revoke enrolment" ;;
    "hub ") options="keys rotate" ;;
    "case ") options="list show" ;;
    "event ") options="tail show" ;;
    "ledger ") options="export verify watch timestamps dump" ;;
    "erasure ") options="list show" ;;
    "quarantine ") options="list show release discard" ;;
    "policy ") options="check show diff apply approve refuse why" ;;
    "sharing ") options="list" ;;
    "auditor ") options="add list remove" ;;
    "state ") options="dump" ;;
    "witness ") options="show" ;;
    "node add") options="--department --area --out --publish --receive-all --parts --endpoint" ;;
    "node invite") options="--department --area --role --publish --receive-all --parts --valid --auto --endpoint" ;;
    "node approve" | "node refuse")
        [[ ${words[1]} == refuse ]] && options="--why"
        [[ $cur != -* ]] && options=$(_casebus_ask node requests | grep -o '"node":"[^"]*"' | cut -d '"' -f 4)
        ;;
    "node suspend" | "node revoke")
        options="--why --since --yes"
        [[ $cur != -* ]] && options=$(_casebus_nodes)
        ;;
    "node resume")
        options="--why"
        [[ $cur != -* ]] && options=$(_casebus_nodes)
        ;;
    "quarantine list") options="--node --code --all" ;;
    "quarantine show" | "quarantine release" | "quarantine discard")
        options=$([[ ${words[1]} == show ]] && echo "--parts" || echo "--why --yes")
        [[ $cur != -* ]] && options=$(_casebus_ask quarantine list | grep -o '"position":[0-9]*' | cut -d : -f 2)
        ;;
    "hub rotate")
        options="--in --force"
        [[ $cur != -* ]] && options="curve authority"
        ;;
    "node enrolment")
        options="--out"
        [[ $cur != -* ]] && options=$(_casebus_nodes)
        ;;
    "node show") [[ $cur != -* ]] && options=$(_casebus_nodes) ;;
    "case list") options="--status --limit --after" ;;
    "case show") [[ $cur != -* ]] && options=$(_casebus_cases "$cur") ;;
    "event tail") options="--follow --last --node --parts" ;;
    "event show") options="--parts" ;;
    "policy check" | "policy diff" | "policy apply")
        [[ $cur != -* ]] && mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return
        [[ ${words[1]} == apply ]] && options="--why --yes"
        ;;
    "policy approve" | "policy refuse")
        [[ ${words[1]} == approve ]] && options="--yes"
        [[ $cur != -* ]] && options=$(_casebus_ask status | grep -o '"policy_proposed":[0-9]*' | cut -d : -f 2)
        ;;
    "sharing list") options="--of --reader --from --limit" ;;
    "policy why")
        case ${#words[@]} in
        2) options=$(_casebus_nodes) ;;
        3) options=$(_casebus_cases "$cur") ;;
        esac
        ;;
    "ledger verify") options="--jobs --resume --tree-only --no-bodies --no-state --temp --log-key" ;;
    "ledger export")
        mapfile -t COMPREPLY < <(compgen -d -W "$([[ $cur == -* ]] && echo "--no-entries --log-key $common")" -- "$cur")
        return
        ;;
    "ledger watch") options="--trust --state --token --witnesses --accept-key --department --once --every" ;;
    "ledger timestamps") options="--ca" ;;
    "auditor remove") [[ $cur != -* ]] && options=$(casebus ${CASEBUS_HUB:+--hub "$CASEBUS_HUB"} auditor list 2>/dev/null) ;;
    "ledger dump") options="--from --limit --notes" ;;
    "erase "*) options="--case --person --id-type --id --material --quarantine --retention --parts --order --dry-run --yes" ;;
    "prove "*) options="--case --event --position --out --open --sealed" ;;
    "verify "*)
        options="--trust --witness --quorum"
        [[ $cur != -* ]] && mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return
        ;;
    "codes ") options=$(casebus --json codes 2>/dev/null | grep -o '"code":"[^"]*"' | cut -d '"' -f 4) ;;
    "incident ") options="report" ;;
    "incident report")
        options="--from --to --out --csv --no-persons"
        [[ $cur != -* ]] && options=$(_casebus_nodes)
        ;;
    "state dump") options="--cases --all" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options $([[ $cur == -* ]] && echo "$common")" -- "$cur")
}

complete -F _casebus casebus
