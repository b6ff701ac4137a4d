#include "proto/crypto/base64.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

int base64_decode(uint8_t *out, struct bytes text)
{
    if (text.size == 0 || text.size > INT_MAX || text.size % 4 != 0)
        return -1;
    int n = EVP_DecodeBlock(out, text.data, (int)text.size);
    return n <= 0 ? n : n - (text.data[text.size - 1] == '=') - (text.data[text.size - 2] == '=');
}

char *base64_encode(struct bytes bytes)
{
    char *text = bytes.size <= INT_MAX / 4 * 3 ? malloc((bytes.size + 2) / 3 * 4 + 1) : NULL;
    if (text)
        EVP_EncodeBlock((uint8_t *)text, bytes.data, (int)bytes.size);
    return text;
}
