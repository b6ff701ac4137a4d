/* The check symbol is the sum of i * symbol[i] with i odd, 1 to 29, modulo 32: an odd factor loses no wrong
 * symbol, and two neighbours that changed places differ by 2 * (a - b), which is 0 only when they are 16
 * apart. */
#include "proto/crypto/code.h"

#include "proto/base/texts.h"

#include <ctype.h>
#include <stdlib.h>

static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint8_t check_of(const struct code *code)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < CODE_SYMBOLS - 1; i++)
        sum += (2 * i + 1) * code->symbols[i];
    return (uint8_t)(sum % 32);
}

void code_make(struct code *code)
{
    random_bytes(code->symbols, CODE_SYMBOLS);
    for (size_t i = 0; i < CODE_SYMBOLS; i++)
        code->symbols[i] &= 31;
    code->symbols[CODE_SYMBOLS - 1] = check_of(code);
}

/* -1 when @c is no symbol. */
static int value_of(char c)
{
    char upper = (char)toupper((unsigned char)c);
    upper = upper == 'O' ? '0' : upper == 'I' || upper == 'L' ? '1' : upper;
    const char *at = upper ? strchr(symbols, upper) : NULL;
    return at ? (int)(at - symbols) : -1;
}

int code_parse(struct code *code, const char *text, struct casebus_error *err)
{
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        if (*p == ' ' || *p == '-' || *p == '\t')
            continue;
        int value = value_of(*p);
        if (value < 0)
            return error_set(err, CASEBUS_ARGUMENT, _("symbol %zu of the code is none that a code has"),
                             n + 1);
        if (n < CODE_SYMBOLS)
            code->symbols[n] = (uint8_t)value;
        n++;
    }
    if (n != CODE_SYMBOLS)
        return error_set(err, CASEBUS_ARGUMENT, _("the code has %zu symbols instead of %d"), n, CODE_SYMBOLS);
    if (code->symbols[CODE_SYMBOLS - 1] != check_of(code)) {
        error_set(err, CASEBUS_ARGUMENT, _("the code has a mistake: its symbols do not fit together"));
        return error_hint(err, _("compare it with what the operator gave, symbol by symbol"));
    }
    return 0;
}

void code_format(const struct code *code, char text[CODE_TEXT])
{
    size_t n = 0;
    for (size_t i = 0; i < CODE_SYMBOLS; i++) {
        if (i && i % 4 == 0)
            text[n++] = '-';
        text[n++] = symbols[code->symbols[i]];
    }
    text[n] = '\0';
}

void code_mac(const uint8_t key[CODE_KEY_SIZE], const struct bytes *parts, size_t n_parts,
              uint8_t mac[DIGEST_SIZE])
{
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    if (!crypter)
        abort(); /* as random_bytes does: there is no way on without it */
    crypter_mac(crypter, bytes_of(key, CODE_KEY_SIZE), parts, n_parts, mac);
    crypter_free(crypter);
}

void code_derive(const struct code *code, uint8_t invitation[INVITATION_SIZE], uint8_t key[CODE_KEY_SIZE])
{
    uint8_t secret[CODE_KEY_SIZE] = {0}, digest[DIGEST_SIZE];
    const struct bytes name = bytes_of_text("casebus/v1/join/invitation"),
                       use = bytes_of_text("casebus/v1/join/key");
    memcpy(secret, code->symbols, CODE_SYMBOLS);
    code_mac(secret, &name, 1, digest);
    memcpy(invitation, digest, INVITATION_SIZE);
    code_mac(secret, &use, 1, key);
    secret_clear(secret, sizeof secret);
}
