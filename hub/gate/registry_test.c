#include "hub/gate/gate_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = malloc(sizeof(struct gate_fixture));
    gate_fixture_init(*state);
    return 0;
}

static int teardown(void **state)
{
    gate_fixture_deinit(*state);
    free(*state);
    return 0;
}

static void assert_not_built(struct gate_fixture *hub, struct bytes enrolled, enum casebus_code code)
{
    struct registry *registry = NULL;
    const struct registry_fact fact = {enrolled, CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE};
    assert_int_equal(registry_build(&registry, &fact, 1, &hub->authorities, &hub->err), -1);
    assert_string_equal(casebus_code_text(hub->err.code), casebus_code_text(code));
    assert_null(registry);
}

static void test_registry_finds_by_name_and_curve_key(void **state)
{
    struct gate_fixture *hub = *state;
    const struct registry_node *desk = registry_find(hub->registry, "desk");
    assert_non_null(desk);
    assert_string_equal(desk->info.node, "desk");
    assert_string_equal(desk->info.area, "320100");
    assert_ptr_equal(registry_find_curve(hub->registry, hub->desk.info.curve_key), desk);
    assert_null(registry_find(hub->registry, "des"));
    assert_null(registry_find(hub->registry, "zzz"));
    assert_null(registry_find_curve(hub->registry, (const uint8_t[CURVE_KEY_SIZE]){0}));
    uint8_t id[KEY_ID_SIZE];
    public_key_id(signing_key_public(hub->desk.key), id);
    assert_memory_equal(desk->key_id, id, KEY_ID_SIZE);
}

static void test_registry_is_sorted_for_the_exchange(void **state)
{
    struct gate_fixture *hub = *state;
    const struct exchange_node *nodes = hub->registry->exchange;
    assert_int_equal(hub->registry->n_nodes, 2);
    assert_string_equal(nodes[0].name, "desk");
    assert_true(nodes[0].publish);
    assert_false(nodes[0].receive_all);
    assert_string_equal(nodes[1].name, "office");
    assert_false(nodes[1].publish);
    assert_true(nodes[1].receive_all);
    assert_int_equal(nodes[1].receive_part_kinds, part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_FORM));
}

static void test_registry_may_be_empty(void **state)
{
    struct gate_fixture *hub = *state;
    struct registry *registry;
    assert_int_equal(registry_build(&registry, NULL, 0, &hub->authorities, &hub->err), 0);
    assert_null(registry_find(registry, "desk"));
    assert_null(registry_unref(registry));
    assert_null(registry_unref(NULL));
}

static void test_registry_grants_nothing_unless_told(void **state)
{
    struct gate_fixture *hub = *state;
    struct registry *registry;
    hub->desk.enrolled.grants = NULL;
    struct registry_fact enrolled = fact_pack(hub, &hub->desk);
    assert_int_equal(registry_build(&registry, &enrolled, 1, &hub->authorities, &hub->err), 0);
    assert_false(registry->nodes[0].publish);
    assert_false(registry->nodes[0].receive_all);
    assert_int_equal(registry->nodes[0].receive_part_kinds, 0);
    registry_unref(registry);
}

static void test_registry_refuses_rubbish(void **state)
{
    struct gate_fixture *hub = *state;
    static const uint8_t rubbish[] = {0xFF, 1, 2};
    assert_not_built(hub, bytes_of(rubbish, sizeof rubbish), CASEBUS_MALFORMED);
    struct bytes enrolled = enrolment_pack(hub, &hub->desk);
    for (size_t size = 0; size < enrolled.size; size++) {
        struct registry *registry;
        struct registry_fact cut = {bytes_of(enrolled.data, size),
                                    CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE};
        if (registry_build(&registry, &cut, 1, &hub->authorities, &hub->err) < 0)
            continue;
        /* cut where a field begins: only the grants may be missing */
        assert_int_equal(registry->nodes[0].publish, false);
        registry_unref(registry);
    }
}

static void test_registry_refuses_another_authority(void **state)
{
    struct gate_fixture *hub = *state;
    struct gate_fixture *other = malloc(sizeof *other);
    gate_fixture_init(other);
    assert_not_built(hub, enrolment_pack(other, &other->desk), CASEBUS_CERTIFICATE);
    gate_fixture_deinit(other);
    free(other);
}

static void test_registry_refuses_a_key_the_node_did_not_sign_with(void **state)
{
    struct gate_fixture *hub = *state;
    struct signing_key *own = hub->desk.key;
    hub->desk.key = hub->office.key; /* as if the hub had made the enrolment up */
    struct bytes enrolled = enrolment_pack(hub, &hub->desk);
    hub->desk.key = own;
    assert_not_built(hub, enrolled, CASEBUS_SIGNATURE);
}

static void test_registry_refuses_an_enrolment_that_says_otherwise(void **state)
{
    struct gate_fixture *hub = *state;
    Casebus__V1__EnrolmentStatement *statement = &hub->desk.statement;
    const Casebus__V1__EnrolmentStatement right = *statement;
    uint8_t other_key[CURVE_KEY_SIZE] = {1};

    statement->node = (char *)(uintptr_t) "office";
    assert_not_built(hub, enrolment_pack(hub, &hub->desk), CASEBUS_CERTIFICATE);
    *statement = right;
    statement->origin = (char *)(uintptr_t) "js.example/exchange/2";
    assert_not_built(hub, enrolment_pack(hub, &hub->desk), CASEBUS_CERTIFICATE);
    *statement = right;
    statement->department = (char *)(uintptr_t) "js.other";
    assert_not_built(hub, enrolment_pack(hub, &hub->desk), CASEBUS_CERTIFICATE);
    *statement = right;
    statement->area = (char *)(uintptr_t) "320500";
    assert_not_built(hub, enrolment_pack(hub, &hub->desk), CASEBUS_CERTIFICATE);
    *statement = right;
    statement->curve_key.data = other_key;
    assert_not_built(hub, enrolment_pack(hub, &hub->desk), CASEBUS_CERTIFICATE);
    *statement = right;
    statement->public_key.data = other_key;
    assert_not_built(hub, enrolment_pack(hub, &hub->desk), CASEBUS_CERTIFICATE);
}

static void test_a_node_that_is_not_active_is_known_and_may_do_nothing(void **state)
{
    struct gate_fixture *hub = *state;
    struct registry_fact facts[] = {fact_pack(hub, &hub->desk), fact_pack(hub, &hub->office)};
    struct registry *registry;
    facts[0].status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED;
    facts[1].status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED;
    assert_int_equal(registry_build(&registry, facts, 2, &hub->authorities, &hub->err), 0);
    assert_false(registry_node_active(registry_find(registry, "desk")));
    assert_false(registry->exchange[0].publish);
    assert_false(registry->exchange[0].gone); /* it gets later what comes meanwhile */
    assert_true(registry->exchange[1].gone);
    assert_int_equal(gate_check_status(&registry->nodes[0], &hub->err), -1);
    assert_int_equal(hub->err.code, CASEBUS_SUSPENDED);
    assert_int_equal(gate_check_status(&registry->nodes[1], &hub->err), -1);
    assert_int_equal(hub->err.code, CASEBUS_REVOKED);
    registry_unref(registry);
}

static void test_registry_refuses_one_name_twice(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_node twin;
    struct registry *registry;
    test_node_init(hub, &twin, "desk");
    struct registry_fact enrolled[] = {fact_pack(hub, &hub->desk), fact_pack(hub, &twin)};
    assert_int_equal(registry_build(&registry, enrolled, 2, &hub->authorities, &hub->err), -1);
    assert_int_equal(hub->err.code, CASEBUS_EXISTS);
    test_node_deinit(&twin);
}

static void test_registry_bounds_who_receives_all(void **state)
{
    struct gate_fixture *hub = *state;
    struct registry_fact enrolled[RECEIVERS_MAX + 1];
    struct registry *registry;
    for (size_t i = 0; i <= RECEIVERS_MAX; i++) {
        char name[16];
        struct test_node node;
        snprintf(name, sizeof name, "node-%zu", i);
        test_node_init(hub, &node, name);
        node.grants.receive_all = true;
        enrolled[i] = fact_pack(hub, &node);
        test_node_deinit(&node);
    }
    assert_int_equal(registry_build(&registry, enrolled, RECEIVERS_MAX + 1, &hub->authorities, &hub->err),
                     -1);
    assert_int_equal(hub->err.code, CASEBUS_CONFIG);
    assert_int_equal(registry_build(&registry, enrolled, RECEIVERS_MAX, &hub->authorities, &hub->err), 0);
    registry_unref(registry);
}

static void *hold_and_let_go(void *self)
{
    for (unsigned i = 0; i < 10000; i++)
        registry_unref(registry_ref(self));
    return NULL;
}

static void test_registry_is_held_by_many_threads(void **state)
{
    struct gate_fixture *hub = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, hub->registry), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&hub->registry->references), 1);
}

#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTRY_TEST(test_registry_finds_by_name_and_curve_key),
        REGISTRY_TEST(test_registry_is_sorted_for_the_exchange),
        REGISTRY_TEST(test_registry_may_be_empty),
        REGISTRY_TEST(test_registry_grants_nothing_unless_told),
        REGISTRY_TEST(test_registry_refuses_rubbish),
        REGISTRY_TEST(test_registry_refuses_another_authority),
        REGISTRY_TEST(test_registry_refuses_a_key_the_node_did_not_sign_with),
        REGISTRY_TEST(test_registry_refuses_an_enrolment_that_says_otherwise),
        REGISTRY_TEST(test_a_node_that_is_not_active_is_known_and_may_do_nothing),
        REGISTRY_TEST(test_registry_refuses_one_name_twice),
        REGISTRY_TEST(test_registry_bounds_who_receives_all),
        REGISTRY_TEST(test_registry_is_held_by_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
