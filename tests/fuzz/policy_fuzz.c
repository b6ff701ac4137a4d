/* A policy file: an operator's, but anything may stand in a file. */
#include "proto/merkle/policy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *policy;
    struct casebus_error err = {0};

    if (policy_parse(&policy, bytes_of(data, size), "policy", &err)) {
        CLAIM(err.code == CASEBUS_CONFIG && err.text[0] && !policy);
        return 0;
    }
    CLAIM(policy->n_witnesses <= POLICY_WITNESSES_MAX && policy->n_groups <= POLICY_GROUPS_MAX);
    for (size_t i = 0; i < policy->n_groups; i++)
        CLAIM(policy->groups[i].needed >= 1 && policy->groups[i].needed <= policy->groups[i].n_members);
    CLAIM(policy_quorum(policy, UINT64_MAX)); /* all of them are always enough */
    CLAIM(policy_quorum(policy, 0) == !policy->demands);
    policy_free(policy);
    return 0;
}
