/* The command line: what every command of `casebus` is given, and the rows that name them. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "hub/cli/client.h"
#include "hub/cli/people.h"
#include "hub/cli/table.h"
#include "hub/console/request.h"

#include <argp.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_NEGATIVE = 1,   /* the answer is no, or it failed */
    CLI_USAGE = 2,      /* the command line makes no sense */
    CLI_UNREACHABLE = 3 /* no hub answers, and it is needed */
};

struct cli {
    const char *hub; /* DIR or URL */
    bool json;
    bool colour;
    FILE *out;
    struct client *client;
};

struct cli_command {
    const char *group; /* "node" */
    const char *verb;  /* "add"; NULL when the group is the command */
    int (*run)(struct cli *cli, int argc, char **argv);
    const char *summary;
};
extern const struct cli_command cli_commands[];
extern const size_t cli_n_commands;

int cli_main(int argc, char **argv);

/* --hub and --json, as a child of each command's own options; its input is the struct cli. */
extern const struct argp cli_argp;
/* Parses a command's own arguments: @argp's input is @input, the common options' is @cli. Ends the process
 * with CLI_USAGE when they make no sense, with CLI_OK after --help. */
void cli_parse(struct cli *cli, struct argp *argp, int argc, char **argv, void *input);
/* A word that has to be a number in decimal; else argp says so and ends. */
uint64_t cli_number(const char *text, const struct argp_state *state);
/* Ends the process: @arg is one word too many, or one is missing (NULL). */
void cli_words_wrong(struct argp_state *state, const char *arg);
/* Connects; 0, or the exit code after the error was printed. */
int cli_connect(struct cli *cli);
/* The same, and --hub may be a copy of a ledger: only its entries can be asked for then. */
int cli_connect_ledger(struct cli *cli);
/* Prints the error; returns the exit code that goes with it. */
int cli_fail(const struct cli *cli, const struct casebus_error *err);
/* Prints @json on one line. */
void cli_print_json(const struct cli *cli, const json_t *json);
/* Prints a line with a name, blanks up to @width columns and the value ("-" for NULL). Values come from
 * departments: what could steer a terminal is shown as \xNN. */
void cli_field(const struct cli *cli, const char *name, size_t width, const char *value);
/* "\033[31m" or "" */
const char *cli_red(const struct cli *cli);
const char *cli_green(const struct cli *cli);
const char *cli_dim(const struct cli *cli);
const char *cli_plain(const struct cli *cli);

/* event_show.c: an event as the hub's API tells it, with names for people. */
void event_print(const struct cli *cli, const json_t *event);
/* erase.c: returns when the order with this ticket is carried out; @done is the caller's. */
int erasure_wait(struct cli *cli, uint64_t ticket, json_t **done, struct casebus_error *err);

/* backup_note.c: after an operator's act and before it is said to be done: brings the backup up to date that
 * hub.yaml names, if it does. What the newest backup is and what it has not goes into @answer, as "backup".
 */
void backup_note_add(struct cli *cli, json_t *answer);
/* A line when this act is not in it. Returns the exit code: CLI_NEGATIVE when it should be. */
int backup_note_print(const struct cli *cli, const json_t *answer);

int node_add_main(struct cli *cli, int argc, char **argv);
/* "90m" in seconds; 0: it is no length of time. */
json_int_t cli_seconds(const char *text);
int hub_keys_main(struct cli *cli, int argc, char **argv);
int hub_rotate_main(struct cli *cli, int argc, char **argv);
int node_enrolment_main(struct cli *cli, int argc, char **argv);
int node_invite_main(struct cli *cli, int argc, char **argv);
int node_requests_main(struct cli *cli, int argc, char **argv);
int node_approve_main(struct cli *cli, int argc, char **argv);
int node_refuse_main(struct cli *cli, int argc, char **argv);
int node_list_main(struct cli *cli, int argc, char **argv);
int node_show_main(struct cli *cli, int argc, char **argv);
int node_suspend_main(struct cli *cli, int argc, char **argv);
int node_resume_main(struct cli *cli, int argc, char **argv);
int node_revoke_main(struct cli *cli, int argc, char **argv);
int incident_report_main(struct cli *cli, int argc, char **argv);
int codes_main(struct cli *cli, int argc, char **argv);
int status_main(struct cli *cli, int argc, char **argv);
int case_list_main(struct cli *cli, int argc, char **argv);
int case_show_main(struct cli *cli, int argc, char **argv);
int event_tail_main(struct cli *cli, int argc, char **argv);
int event_show_main(struct cli *cli, int argc, char **argv);
int prove_main(struct cli *cli, int argc, char **argv);
int verify_main(struct cli *cli, int argc, char **argv);
int ledger_verify_main(struct cli *cli, int argc, char **argv);
int ledger_export_main(struct cli *cli, int argc, char **argv);
int ledger_dump_main(struct cli *cli, int argc, char **argv);
int erase_main(struct cli *cli, int argc, char **argv);
int sharing_list_main(struct cli *cli, int argc, char **argv);
int quarantine_list_main(struct cli *cli, int argc, char **argv);
int quarantine_show_main(struct cli *cli, int argc, char **argv);
int quarantine_release_main(struct cli *cli, int argc, char **argv);
int quarantine_discard_main(struct cli *cli, int argc, char **argv);
int erasure_list_main(struct cli *cli, int argc, char **argv);
int erasure_show_main(struct cli *cli, int argc, char **argv);
int auditor_add_main(struct cli *cli, int argc, char **argv);
int auditor_list_main(struct cli *cli, int argc, char **argv);
int auditor_remove_main(struct cli *cli, int argc, char **argv);
int policy_check_main(struct cli *cli, int argc, char **argv);
int policy_show_main(struct cli *cli, int argc, char **argv);
int policy_diff_main(struct cli *cli, int argc, char **argv);
int policy_apply_main(struct cli *cli, int argc, char **argv);
int policy_approve_main(struct cli *cli, int argc, char **argv);
int policy_refuse_main(struct cli *cli, int argc, char **argv);
int policy_why_main(struct cli *cli, int argc, char **argv);
int state_dump_main(struct cli *cli, int argc, char **argv);
int ledger_watch_main(struct cli *cli, int argc, char **argv);
int ledger_timestamps_main(struct cli *cli, int argc, char **argv);
int witness_show_main(struct cli *cli, int argc, char **argv);

/* policy_notes.c: tells on stderr what is worth a look in the good policy @book of @file. @nodes: as the hub
 * lists them, or NULL when no hub was asked. */
struct rights_book;
void policy_notes(const char *file, const struct rights_book *book, const json_t *nodes);

#endif
