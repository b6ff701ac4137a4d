/* `status DIR`: who the node in a folder is, and until when its certificate lasts. It reads files alone: the
 * adapter may run or not, and the hub may be away. */
#include "adapters/runner/commands.h"
#include "adapters/sdk/enrolment.h"
#include "adapters/sdk/proven.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void status_json(const struct enrolment *enrolment, const char *key, int64_t days, int64_t unproven)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:I}", "node", enrolment->node, "department",
                  enrolment->department, "area", enrolment->area, "origin", enrolment->origin, "endpoint",
                  enrolment->endpoint, "key_id", key, "certificate_ends_us",
                  (json_int_t)(enrolment->certificate_ends * 1000000), "certificate_days_left",
                  (json_int_t)days, "certificate_ends_soon", days < CERTIFICATE_WARN_DAYS,
                  "hub_unproven_since_us", (json_int_t)(unproven * 1000000));
    if (json)
        json_dumpf(json, stdout, 0);
    putchar('\n');
    json_decref(json);
}

static void status_print(const struct enrolment *enrolment, const char *key, int64_t days, int64_t unproven)
{
    char ends[CLOCK_TEXT];
    printf(_("node:        %s (department %s, area %s)\n"), enrolment->node, enrolment->department,
           enrolment->area);
    printf(_("hub:         %s at %s\n"), enrolment->origin, enrolment->endpoint);
    if (unproven > 0) {
        printf(_("             LOOK: since %s something else answers there, which is not the hub "
                 "(HUB-UNPROVEN)\n"),
               clock_text(ends, unproven));
        printf(_("             -> nothing was sent to it; tell the hub's operator that somebody may have its "
                 "CURVE "
                 "key\n"));
    }
    clock_text(ends, enrolment->certificate_ends);
    printf(_("key:         %s\n"), key);
    printf(days < CERTIFICATE_WARN_DAYS ? _n("certificate: LOOK: ends %s, in %lld day\n",
                                             "certificate: LOOK: ends %s, in %lld days\n", days)
                                        : _("certificate: ends %s, in %lld days\n"),
           ends, (long long)days);
    if (days < CERTIFICATE_WARN_DAYS)
        printf(_(
            "             -> `casebus-adapter run` renews it while it is connected; its log says why not\n"));
}

int status_command(const struct options *options)
{
    struct enrolment enrolment;
    struct casebus_error err;
    char key[2 * KEY_ID_SIZE + 1];
    int64_t now = clock_unix_us() / 1000000;
    int code = EXIT_STUCK;
    if (enrolment_load(&enrolment, options->argument, now, &err) != 0) {
        error_print("casebus-adapter", &err);
        code = err.code == CASEBUS_PASSPHRASE ? EXIT_LOCKED : EXIT_STUCK;
    } else {
        int64_t days = certificate_days_left(enrolment.certificate_ends, now);
        hex_encode(key, enrolment.key_id, KEY_ID_SIZE);
        int64_t unproven = proven_not_since(options->argument);
        (options->json ? status_json : status_print)(&enrolment, key, days, unproven);
        code = days < CERTIFICATE_WARN_DAYS || unproven > 0 ? EXIT_SOME_BAD : EXIT_FINE;
    }
    enrolment_deinit(&enrolment);
    return code;
}
