/* `explain` prints the tables that the parser reads, as a configuration that can be copied. */
#include "adapters/runner/commands.h"
#include "adapters/runner/config.h"
#include "proto/base/texts.h"

#include <stdio.h>
#include <string.h>

static void source_print(const struct source_kind *kind)
{
    printf("source: # %s\n", _(kind->summary));
    printf("  kind: %s\n", kind->name);
    settings_print(kind->settings, kind->n_settings, 2);
    settings_print(source_settings + 1, n_source_settings - 1, 2);
    printf("  filter: # %s\n", _("Only rows with these values: column: value, or column: [values]"));
}

static void sink_print(const struct sink_kind *kind)
{
    printf("sink: # %s\n", _(kind->summary));
    printf("  kind: %s\n", kind->name);
    settings_print(kind->settings, kind->n_settings, 2);
}

static void map_example_print(void)
{
    printf("map: # %s\n", _("How a row becomes an event; `casebus-adapter explain map` shows all fields"));
    fputs("  record_namespace: example.dept/cases\n"
          "  record_id: \"{case_id}#{seq}\"\n"
          "  case_number: \"{case_id}\"\n"
          "  occurred_at: {column: time, format: rfc3339}\n"
          "  kind: {column: activity, values: {Received: receive, Decided: decide}, default: other}\n"
          "  step.step: \"{activity}\"\n"
          "  form: [department, deadline]\n",
          stdout);
}

static void map_print(void)
{
    const char *field;
    printf("%s\n", _("A field of the event is given as a text with {columns} in it, or as one of these:"));
    settings_print(mapping_settings, n_mapping_settings, 2);
    printf("  %-24s # %s\n", "values: {CODE: VALUE}",
           _("Codes and what they become; they come before those of the file"));
    printf("\n%s\n", _("Every event needs record_namespace, record_id, case_number, kind and occurred_at. "
                       "Fields of a kind, such as step.action, are set for that kind only. "
                       "form: [columns] keeps columns under their own names. The fields:"));
    for (size_t i = 0; (field = casebus_event_field_name(i)); i++)
        printf("  %s%s\n", field, field[strlen(field) - 1] == '.' ? "NAME" : "");
    printf("\n%s\n",
           _("Kinds: apply receive supplement_notice supplement accept refuse_accept step special_begin "
             "special_end extend decide finish deliver rate rectify withdraw annul matter_raised "
             "matter_classified matter_assigned matter_meeting matter_answered matter_checked "
             "matter_closed other"));
}

static void everything_print(void)
{
    settings_print(general_settings, n_general_settings, 0);
    for (size_t i = 0; source_kinds[i]; i++)
        source_print(source_kinds[i]);
    map_example_print();
    for (size_t i = 0; sink_kinds[i]; i++)
        sink_print(sink_kinds[i]);
}

int explain_command(const struct options *options)
{
    const char *name = options->argument;
    if (!name) {
        everything_print();
        return EXIT_FINE;
    }
    if (strcmp(name, "map") == 0) {
        map_print();
        return EXIT_FINE;
    }
    for (size_t i = 0; source_kinds[i]; i++)
        if (strcmp(source_kinds[i]->name, name) == 0) {
            source_print(source_kinds[i]);
            return EXIT_FINE;
        }
    for (size_t i = 0; sink_kinds[i]; i++)
        if (strcmp(sink_kinds[i]->name, name) == 0) {
            sink_print(sink_kinds[i]);
            return EXIT_FINE;
        }
    fprintf(stderr, _("casebus-adapter: there is no kind '%s'; it is one of: map"), name);
    for (size_t i = 0; source_kinds[i]; i++)
        fprintf(stderr, ", %s", source_kinds[i]->name);
    for (size_t i = 0; sink_kinds[i]; i++)
        fprintf(stderr, ", %s", sink_kinds[i]->name);
    fputs("\n", stderr);
    return EXIT_USAGE;
}
