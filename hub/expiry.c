#include "hub/expiry.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

static void node_tell(const struct registry_node *node, int64_t days, const struct log *log)
{
    if (days < 0)
        log_warning(log, "CERTIFICATE-ENDED",
                    _("the certificate of node '%s' has ended: enrol it again (casebus node add)"),
                    node->info.node);
    else
        log_warning(
            log, "CERTIFICATE-ENDS",
            _n("the certificate of node '%s' ends in %lld day and was not renewed: is its adapter running?",
               "the certificate of node '%s' ends in %lld days and was not renewed: is its adapter running?",
               days),
            node->info.node, (long long)days);
}

void expiry_tell(const struct registry *registry, struct bytes authority, const struct log *log)
{
    int64_t first, last, now = clock_unix_us() / 1000000;
    for (size_t i = 0; i < registry->n_nodes; i++) {
        const struct registry_node *node = &registry->nodes[i];
        int64_t days = certificate_days_left(node->info.not_after, now);
        if (days < CERTIFICATE_WARN_DAYS && node->status != CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
            node_tell(node, days, log);
    }
    if (certificate_times(authority, &first, &last) &&
        certificate_days_left(last, now) < CERTIFICATE_WARN_DAYS)
        log_warning(log, "AUTHORITY-ENDS",
                    _n("the certificate of this hub's authority ends in %lld day",
                       "the certificate of this hub's authority ends in %lld days",
                       certificate_days_left(last, now)),
                    (long long)certificate_days_left(last, now));
}
