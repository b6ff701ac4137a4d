/* Notes and checkpoints against the published example of Go's checksum database, and against tampering. */
#include "proto/merkle/note.h"

#include "proto/base/files.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* The example in the documentation of golang.org/x/mod/sumdb/note. */
#define PETER_KEY  "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SEED "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define PETER_TEXT                                                                                           \
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
#define PETER_LINE                                                                                           \
    "\u2014 PeterNeumann "                                                                                   \
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
#define PETER_NOTE PETER_TEXT "\n" PETER_LINE

#define ORIGIN "js.example/exchange/1"

static const struct checkpoint here = {
    .origin = ORIGIN, .size = 8577, .root = {0x0a, 0xc5, 0x18, 0x6a, 0x91, 0x86, 0x3e, 0x8e, 0x1d, 0x90, 0xc8,
                                             0x08, 0x01, 0x4a, 0xa8, 0x9b, 0xf5, 0xda, 0x8e, 0x3e, 0xe1, 0xd9,
                                             0xf0, 0x76, 0x30, 0xf0, 0x37, 0x8f, 0x68, 0xf1, 0xab, 0x62}};

struct fixture {
    const struct suite *suite; /* of our key */
    struct signing_key *peter;
    struct signing_key *ours;
    struct note_verifier peters;
    struct note_verifier verifier; /* of our key under ORIGIN */
};

static struct signing_key *peter_load(void)
{
    uint8_t der[16 + 33] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                            0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    uint8_t typed[36];
    char base64[65];
    char pem[200];
    char path[] = "/tmp/note_test.XXXXXX";
    struct signing_key *key;

    assert_int_equal(EVP_DecodeBlock(typed, (const uint8_t *)PETER_SEED, 44), 33);
    memcpy(der + 16, typed + 1, 32);
    EVP_EncodeBlock((uint8_t *)base64, der, 48);
    snprintf(pem, sizeof pem, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", base64);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, pem, strlen(pem)) == (ssize_t)strlen(pem));
    close(fd);
    assert_int_equal(signing_key_load(&key, suite_get(SUITE_INTL), path, NULL), 0);
    unlink(path);
    return key;
}

static int setup_suite(void **state, enum suite_id id)
{
    struct fixture *f = calloc(1, sizeof *f);
    char vkey[VKEY_MAX];

    assert_non_null(f);
    f->suite = suite_get(id);
    f->peter = peter_load();
    assert_int_equal(note_verifier_init(&f->peters, PETER_KEY, NULL), 0);
    assert_int_equal(signing_key_generate(&f->ours, f->suite, NULL), 0);
    assert_true(note_vkey_format(vkey, sizeof vkey, ORIGIN, signing_key_public(f->ours)) > 0);
    assert_int_equal(note_verifier_init(&f->verifier, vkey, NULL), 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_suite(state, SUITE_INTL);
}

static int setup_gm(void **state)
{
    return setup_suite(state, SUITE_GM);
}

/* How many bits lie between two that are flipped: SM2 is slow. */
static int step(const struct fixture *f)
{
    return f->suite == suite_get(SUITE_GM) ? 7 : 1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    note_verifier_deinit(&f->peters);
    note_verifier_deinit(&f->verifier);
    signing_key_free(f->peter);
    signing_key_free(f->ours);
    free(f);
    return 0;
}

/* --- the published example ----------------------------------------------------------------------------- */

static void test_published_verifier_key_is_read_and_written(void **state)
{
    struct fixture *f = *state;
    char vkey[200];

    assert_string_equal(f->peters.name, "PeterNeumann");
    assert_int_equal(f->peters.hash, 0xc74f20a3);
    assert_int_equal(note_vkey_format(vkey, sizeof vkey, "PeterNeumann", signing_key_public(f->peter)),
                     strlen(PETER_KEY));
    assert_string_equal(vkey, PETER_KEY);
    assert_int_equal(note_vkey_format(vkey, strlen(PETER_KEY), "PeterNeumann", &f->peters.key), -1);
    assert_int_equal(note_vkey_format(vkey, sizeof vkey, "Peter Neumann", &f->peters.key), -1);
    assert_int_equal(note_vkey_format(vkey, sizeof vkey, "", &f->peters.key), -1);
}

static void test_published_note_is_signed_alike(void **state)
{
    struct fixture *f = *state;
    char note[400];

    assert_int_equal(note_sign(note, sizeof note, PETER_TEXT, "PeterNeumann", f->peter, NULL),
                     strlen(PETER_NOTE));
    assert_string_equal(note, PETER_NOTE);
    assert_int_equal(note_sign(note, strlen(PETER_NOTE), PETER_TEXT, "PeterNeumann", f->peter, NULL), -1);
    assert_int_equal(note_sign(note, sizeof note, "no newline", "PeterNeumann", f->peter, NULL), -1);
    assert_int_equal(note_sign(note, sizeof note, "tab\t\n", "PeterNeumann", f->peter, NULL), -1);
    assert_int_equal(note_sign(note, sizeof note, PETER_TEXT, "Peter+Neumann", f->peter, NULL), -1);
}

static void test_published_note_is_accepted(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct bytes text;

    assert_int_equal(note_check(&text, bytes_of_text(PETER_NOTE), &f->peters, &err), 0);
    assert_true(bytes_equal(text, bytes_of_text(PETER_TEXT)));
}

static void test_note_refuses_every_flipped_bit(void **state)
{
    struct fixture *f = *state;
    char note[] = PETER_NOTE;
    struct bytes whole = bytes_of_text(PETER_NOTE);
    struct casebus_error err;
    struct bytes text;

    for (size_t i = 0; i < whole.size * 8; i++) {
        note[i / 8] = (char)(note[i / 8] ^ 1 << i % 8);
        err = (struct casebus_error){0};
        assert_int_equal(note_check(&text, bytes_of(note, whole.size), &f->peters, &err), -1);
        assert_true(err.code == CASEBUS_SIGNATURE || err.code == CASEBUS_MALFORMED);
        assert_true(err.text[0] != '\0');
        note[i / 8] = (char)(note[i / 8] ^ 1 << i % 8);
    }
    for (size_t size = 0; size < whole.size; size++)
        assert_int_equal(note_check(&text, bytes_of(note, size), &f->peters, &err), -1);
}

/* --- verifier keys ------------------------------------------------------------------------------------- */

static void test_malformed_verifier_keys_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumanN+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T=",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        " PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter\u3000Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    struct note_verifier verifier;
    struct casebus_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct casebus_error){0};
        assert_int_equal(note_verifier_init(&verifier, bad[i], &err), -1);
        assert_int_equal(err.code, CASEBUS_KEY);
        note_verifier_deinit(&verifier);
    }
}

static void test_verifier_key_with_a_name_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    char name[KEY_NAME_MAX + 1];
    char vkey[KEY_NAME_MAX + 100];

    memset(name, 'n', KEY_NAME_MAX);
    name[KEY_NAME_MAX] = '\0';
    assert_int_equal(note_vkey_format(vkey, sizeof vkey, name, signing_key_public(f->ours)), -1);
    snprintf(vkey, sizeof vkey, "%s+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", name);
    struct note_verifier verifier;
    assert_int_equal(note_verifier_init(&verifier, vkey, NULL), -1);
}

/* --- checkpoints --------------------------------------------------------------------------------------- */

static void test_checkpoint_survives_the_way_there_and_back(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {0, 1, 9, 10, 8577, INT64_MAX};
    struct checkpoint back;
    char note[NOTE_MAX];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct checkpoint there = here;
        there.size = sizes[i];
        int n = checkpoint_sign(note, sizeof note, &there, ORIGIN, f->ours, NULL);
        assert_true(n > 0 && (size_t)n == strlen(note));
        assert_int_equal(checkpoint_check(&back, bytes_of(note, (size_t)n), &f->verifier, NULL), 0);
        assert_string_equal(back.origin, ORIGIN);
        assert_int_equal(back.size, sizes[i]);
        assert_memory_equal(back.root, here.root, DIGEST_SIZE);
    }
}

static void test_checkpoint_reads_as_the_standard_says(void **state)
{
    static const char text[] =
        ORIGIN "\n8577\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 " ORIGIN " ";
    struct fixture *f = *state;
    char note[NOTE_MAX];

    assert_true(checkpoint_sign(note, sizeof note, &here, ORIGIN, f->ours, NULL) > 0);
    assert_memory_equal(note, text, sizeof text - 1);
}

/* The example of the tlog-checkpoint standard; its key is not published. */
static void test_published_checkpoint_is_parsed(void **state)
{
    static const char note[] =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\u2014 example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    struct casebus_error err;

    assert_int_equal(checkpoint_parse(&checkpoint, bytes_of_text(note), &err), 0);
    assert_string_equal(checkpoint.origin, "example.com/behind-the-sofa");
    assert_int_equal(checkpoint.size, 20852163);
    assert_memory_equal(checkpoint.root, here.root, DIGEST_SIZE);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(note), &f->verifier, &err), -1);
    assert_int_equal(err.code, CASEBUS_SIGNATURE);
}

static void test_checkpoint_refuses_every_flipped_bit(void **state)
{
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    static const struct checkpoint none;
    char note[NOTE_MAX];
    int n = checkpoint_sign(note, sizeof note, &here, ORIGIN, f->ours, NULL);

    for (int i = 0; i < n * 8; i += step(f)) {
        note[i / 8] = (char)(note[i / 8] ^ 1 << i % 8);
        assert_int_equal(checkpoint_check(&checkpoint, bytes_of(note, (size_t)n), &f->verifier, NULL), -1);
        assert_memory_equal(&checkpoint, &none, sizeof none);
        note[i / 8] = (char)(note[i / 8] ^ 1 << i % 8);
    }
}

static void test_strangers_signatures_are_ignored(void **state)
{
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    struct casebus_error err;
    char note[NOTE_MAX];
    char both[NOTE_MAX];
    int n = checkpoint_sign(note, sizeof note, &here, ORIGIN, f->ours, NULL);
    const char *line = strstr(note, "\n\n") + 2;

    /* A witness before and behind, one of them of a type unknown here; our name under another key's hash. */
    snprintf(both, sizeof both, "%.*s\u2014 w1.example x08goAAAAABkGFDL\n%s\u2014 " ORIGIN " AAAAAAAA\n",
             (int)(line - note), note, line);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(both), &f->verifier, &err), 0);
    assert_int_equal(checkpoint.size, here.size);

    /* Ours twice: both are checked. */
    snprintf(both, sizeof both, "%s%s", note, line);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(both), &f->verifier, &err), 0);
    both[n + (int)strlen(line) - 20] ^= 1;
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(both), &f->verifier, &err), -1);
}

static void test_checkpoint_of_another_log_is_refused(void **state)
{
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    struct checkpoint other = here;
    struct casebus_error err;
    char note[NOTE_MAX];

    snprintf(other.origin, sizeof other.origin, "js.example/exchange/2");
    assert_true(checkpoint_sign(note, sizeof note, &other, ORIGIN, f->ours, NULL) > 0);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(note), &f->verifier, &err), -1);
    assert_int_equal(err.code, CASEBUS_HUB_IDENTITY);
}

static void test_malformed_checkpoints_are_refused(void **state)
{
    static const char root[] = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    static const char *const bad[] = {
        "%1$s\n",
        "o\n%1$s\n",
        "\n1\n%1$s\n",
        "o\n01\n%1$s\n",
        "o\n-1\n%1$s\n",
        "o\n+1\n%1$s\n",
        "o\n1 \n%1$s\n",
        "o\n\n%1$s\n",
        "o\n9223372036854775808\n%1$s\n",
        "o\n18446744073709551617\n%1$s\n",
        "o\n99999999999999999999\n%1$s\n",
        "o\n1\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
        "o\n1\n %1$s\n",
        "o\n1\n%1$s\nextension\n",
        "o\n1\n%1$s\n\n",
    };
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    struct casebus_error err;
    char text[400];
    char note[NOTE_MAX];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, bad[i], root);
        assert_true(note_sign(note, sizeof note, text, ORIGIN, f->ours, NULL) > 0);
        err = (struct casebus_error){0};
        assert_int_equal(checkpoint_parse(&checkpoint, bytes_of_text(note), &err), -1);
        assert_int_equal(err.code, CASEBUS_MALFORMED);
        assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(note), &f->verifier, &err), -1);
    }
}

static void test_malformed_signature_lines_spoil_the_note(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "- w.example x08goAAAAABkGFDL\n",
        "\u2014 w.example x08goAAAAABkGFDL",
        "\u2014 w.example\n",
        "\u2014 w.example \n",
        "\u2014  x08goAAAAABkGFDL\n",
        "\u2014w.example x08goAAAAABkGFDL\n",
        "\u2014 w+example x08goAAAAABkGFDL\n",
        "\u2014 w.example  x08goAAAAABkGFDL\n",
        "\u2014 w.example x08goAAAAABkGFDL \n",
        "\u2014 w.example x08goAAAAABkGFD\n",
        "\u2014 w.example x08goA==\n",
        "\u2014 w.example x08goAB=\n",
        "\u2014 w.example x08goA**\n",
        "\u2014 w\u00a0example x08goAAAAABkGFDL\n",
        "\u2014 w.example x08goAAAAABkGFDL\r\n",
    };
    struct fixture *f = *state;
    struct casebus_error err;
    struct bytes text;
    char note[400];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(note, sizeof note, "%s%s", i == 0 ? PETER_TEXT "\n" : PETER_NOTE, bad[i]);
        assert_int_equal(note_check(&text, bytes_of_text(note), &f->peters, &err), -1);
        assert_int_equal(err.code, CASEBUS_MALFORMED);
    }
}

static void test_note_beyond_the_bound_is_refused(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct bytes text;
    char note[NOTE_MAX + 1];

    memset(note, 'x', sizeof note);
    note[NOTE_MAX] = '\n';
    assert_int_equal(note_check(&text, bytes_of(note, sizeof note), &f->peters, &err), -1);
    assert_int_equal(err.code, CASEBUS_TOO_LARGE);
}

/* --- cosignatures -------------------------------------------------------------------------------------- */

#define WITNESS "w.example/1"

struct cosigning {
    struct signing_key *key;
    struct note_verifier verifier;
    char note[NOTE_MAX + 1];
    char line[400];
};

static void cosigning_open(struct cosigning *c, const struct fixture *f, int64_t time_s)
{
    char vkey[VKEY_MAX];
    struct bytes text, lines;

    assert_int_equal(signing_key_generate(&c->key, f->suite, NULL), 0);
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, WITNESS, signing_key_public(c->key)) > 0);
    assert_int_equal(note_witness_init(&c->verifier, vkey, NULL), 0);
    assert_true(checkpoint_sign(c->note, sizeof c->note, &here, ORIGIN, f->ours, NULL) > 0);
    assert_int_equal(note_parts(&text, &lines, bytes_of_text(c->note), NULL), 0);
    assert_true(note_cosign(c->line, sizeof c->line, text, WITNESS, time_s, c->key, NULL) > 0);
}

static void cosigning_close(struct cosigning *c)
{
    note_verifier_deinit(&c->verifier);
    signing_key_free(c->key);
}

static void test_keys_of_logs_and_witnesses_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct note_verifier verifier;
    struct checkpoint checkpoint;
    struct casebus_error err;
    struct cosigning c;
    char vkey[VKEY_MAX];

    cosigning_open(&c, f, 1);
    assert_int_equal(note_witness_init(&verifier, PETER_KEY, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, WITNESS, signing_key_public(c.key)) > 0);
    assert_int_equal(note_verifier_init(&verifier, vkey, &err), -1);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(c.note), &c.verifier, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    cosigning_close(&c);
}

static void test_cosignature_tells_who_and_when(void **state)
{
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    struct cosigning c;
    int64_t at = 0;

    cosigning_open(&c, f, 1679315147);
    assert_int_equal(note_cosigned(&at, bytes_of_text(c.note), &c.verifier, NULL), 0);
    assert_int_equal(
        note_add_cosignature(c.note, sizeof c.note, bytes_of_text(c.line), &c.verifier, &at, NULL), 1);
    assert_int_equal(at, 1679315147);
    at = 0;
    assert_int_equal(note_cosigned(&at, bytes_of_text(c.note), &c.verifier, NULL), 1);
    assert_int_equal(at, 1679315147);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(c.note), &f->verifier, NULL), 0);
    assert_int_equal(checkpoint.size, here.size);
    cosigning_close(&c);
}

static void test_newer_cosignature_takes_the_older_ones_place(void **state)
{
    struct fixture *f = *state;
    struct bytes text, lines;
    struct cosigning c;
    int64_t at = 0;

    cosigning_open(&c, f, 100);
    assert_int_equal(
        note_add_cosignature(c.note, sizeof c.note, bytes_of_text(c.line), &c.verifier, &at, NULL), 1);
    size_t size = strlen(c.note);
    assert_int_equal(note_parts(&text, &lines, bytes_of_text(c.note), NULL), 0);
    assert_true(note_cosign(c.line, sizeof c.line, text, WITNESS, 200, c.key, NULL) > 0);
    assert_int_equal(
        note_add_cosignature(c.note, sizeof c.note, bytes_of_text(c.line), &c.verifier, &at, NULL), 1);
    assert_int_equal(strlen(c.note), size);
    assert_int_equal(note_cosigned(&at, bytes_of_text(c.note), &c.verifier, NULL), 1);
    assert_int_equal(at, 200);
    cosigning_close(&c);
}

static void test_cosignature_refuses_every_flipped_bit(void **state)
{
    struct fixture *f = *state;
    struct cosigning c;
    int64_t at;

    cosigning_open(&c, f, 1679315147);
    assert_int_equal(
        note_add_cosignature(c.note, sizeof c.note, bytes_of_text(c.line), &c.verifier, &at, NULL), 1);
    size_t size = strlen(c.note);
    for (size_t i = 0; i < size * 8; i += (size_t)step(f)) {
        c.note[i / 8] = (char)(c.note[i / 8] ^ 1 << i % 8);
        struct checkpoint checkpoint;
        /* The log's line is the log's to check. */
        bool cosigned = note_cosigned(&at, bytes_of(c.note, size), &c.verifier, NULL) == 1;
        bool whole = checkpoint_check(&checkpoint, bytes_of(c.note, size), &f->verifier, NULL) == 0;
        assert_false(cosigned && whole);
        c.note[i / 8] = (char)(c.note[i / 8] ^ 1 << i % 8);
    }
    cosigning_close(&c);
}

static void test_answers_of_witnesses_are_hostile(void **state)
{
    static const char *const bad[] = {
        "", "\n", "no line", "no line\n", "\u2014 w.example x08goAAAAABkGFD\n",
    };
    struct fixture *f = *state;
    struct casebus_error err;
    struct cosigning c, other;
    char note[NOTE_MAX + 1];
    int64_t at;

    cosigning_open(&c, f, 100);
    cosigning_open(&other, f, 100);
    strcpy(note, c.note);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            note_add_cosignature(c.note, sizeof c.note, bytes_of_text(bad[i]), &c.verifier, &at, &err), -1);
    /* Somebody else's is passed over; ours for another text does not hold. */
    assert_int_equal(
        note_add_cosignature(c.note, sizeof c.note, bytes_of_text(other.line), &c.verifier, &at, &err), 0);
    struct bytes another = bytes_of_text(PETER_TEXT);
    assert_true(note_cosign(c.line, sizeof c.line, another, WITNESS, 5, c.key, NULL) > 0);
    assert_int_equal(
        note_add_cosignature(c.note, sizeof c.note, bytes_of_text(c.line), &c.verifier, &at, &err), -1);
    assert_int_equal(err.code, CASEBUS_SIGNATURE);
    assert_int_equal(
        note_add_cosignature(c.note, strlen(c.note) + 2, bytes_of_text(c.line), &c.verifier, &at, &err), -1);
    assert_string_equal(c.note, note);
    assert_int_equal(note_cosign(c.line, sizeof c.line, another, WITNESS, -1, c.key, NULL), -1);
    assert_int_equal(note_cosign(c.line, sizeof c.line, another, WITNESS, COSIGNED_TIME_MAX + 1, c.key, NULL),
                     -1);
    assert_true(note_cosign(c.line, sizeof c.line, another, WITNESS, COSIGNED_TIME_MAX, c.key, NULL) > 0);
    assert_int_equal(note_cosign(c.line, sizeof c.line, another, "a+b", 1, c.key, NULL), -1);
    assert_int_equal(note_cosign(c.line, 20, another, WITNESS, 1, c.key, NULL), -1);
    cosigning_close(&other);
    cosigning_close(&c);
}

/* --- SM2 ------------------------------------------------------------------------------------------------ */

/* What docs/ledger.md says of keys without a type in C2SP, once more by hand. */
static void test_verifier_key_of_sm2_names_its_type(void **state)
{
    static const struct {
        int (*format)(char *out, size_t size, const char *name, const struct public_key *key);
        int (*init)(struct note_verifier *verifier, const char *vkey, struct casebus_error *err);
        const char *type;
    } rows[] = {{note_vkey_format, note_verifier_init,
                 "\xff"
                 "casebus.example/sm2-sm3"},
                {note_witness_vkey_format, note_witness_init,
                 "\xff"
                 "casebus.example/sm2-sm3-cosignature"}};
    struct fixture *f = *state;
    const struct public_key *public = signing_key_public(f->ours);
    char vkey[VKEY_MAX], hex[9];
    uint8_t hashed[200], typed[120], digest[DIGEST_SIZE];

    for (size_t i = 0; i < 2; i++) {
        struct note_verifier verifier;
        size_t name = strlen(ORIGIN), type = strlen(rows[i].type);
        assert_true(rows[i].format(vkey, sizeof vkey, ORIGIN, public) > 0);
        memcpy(hashed, ORIGIN "\n", name + 1);
        memcpy(hashed + name + 1, rows[i].type, type);
        memcpy(hashed + name + 1 + type, public->bytes, 64);
        struct bytes whole = bytes_of(hashed, name + 1 + type + 64);
        suite_hash(suite_get(SUITE_INTL), &whole, 1, digest);
        assert_memory_equal(vkey + name, "+", 1);
        assert_memory_equal(vkey + name + 1, hex_encode(hex, digest, 4), 8);
        const char *base64 = vkey + name + 10;
        int padding = strchr(base64, '=') ? (int)strlen(strchr(base64, '=')) : 0;
        int size = EVP_DecodeBlock(typed, (const uint8_t *)base64, (int)strlen(base64)) - padding;
        assert_int_equal(size, type + 64);
        assert_memory_equal(typed, hashed + name + 1, type + 64);
        assert_int_equal(rows[i].init(&verifier, vkey, NULL), 0);
        assert_true(public_key_equal(&verifier.key, public));
        note_verifier_deinit(&verifier);
        assert_int_equal(rows[1 - i].init(&verifier, vkey, NULL), -1); /* neither is the other's */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_verifier_key_is_read_and_written),
        cmocka_unit_test(test_published_note_is_signed_alike),
        cmocka_unit_test(test_published_note_is_accepted),
        cmocka_unit_test(test_note_refuses_every_flipped_bit),
        cmocka_unit_test(test_malformed_verifier_keys_are_refused),
        cmocka_unit_test(test_verifier_key_with_a_name_too_long_is_refused),
        cmocka_unit_test(test_checkpoint_survives_the_way_there_and_back),
        cmocka_unit_test(test_checkpoint_reads_as_the_standard_says),
        cmocka_unit_test(test_published_checkpoint_is_parsed),
        cmocka_unit_test(test_checkpoint_refuses_every_flipped_bit),
        cmocka_unit_test(test_strangers_signatures_are_ignored),
        cmocka_unit_test(test_checkpoint_of_another_log_is_refused),
        cmocka_unit_test(test_malformed_checkpoints_are_refused),
        cmocka_unit_test(test_malformed_signature_lines_spoil_the_note),
        cmocka_unit_test(test_note_beyond_the_bound_is_refused),
        cmocka_unit_test(test_keys_of_logs_and_witnesses_are_told_apart),
        cmocka_unit_test(test_cosignature_tells_who_and_when),
        cmocka_unit_test(test_newer_cosignature_takes_the_older_ones_place),
        cmocka_unit_test(test_cosignature_refuses_every_flipped_bit),
        cmocka_unit_test(test_answers_of_witnesses_are_hostile),
    };
    const struct CMUnitTest gm[] = {
        cmocka_unit_test(test_verifier_key_of_sm2_names_its_type),
        cmocka_unit_test(test_verifier_key_with_a_name_too_long_is_refused),
        cmocka_unit_test(test_checkpoint_survives_the_way_there_and_back),
        cmocka_unit_test(test_checkpoint_reads_as_the_standard_says),
        cmocka_unit_test(test_checkpoint_refuses_every_flipped_bit),
        cmocka_unit_test(test_strangers_signatures_are_ignored),
        cmocka_unit_test(test_checkpoint_of_another_log_is_refused),
        cmocka_unit_test(test_keys_of_logs_and_witnesses_are_told_apart),
        cmocka_unit_test(test_cosignature_tells_who_and_when),
        cmocka_unit_test(test_newer_cosignature_takes_the_older_ones_place),
        cmocka_unit_test(test_cosignature_refuses_every_flipped_bit),
        cmocka_unit_test(test_answers_of_witnesses_are_hostile),
    };

    int failed = cmocka_run_group_tests(tests, setup, teardown);
    return failed + cmocka_run_group_tests(gm, setup_gm, teardown);
}
