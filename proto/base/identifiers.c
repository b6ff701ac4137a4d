/* Check digits and forms of the national numbers. Each check names only what is wrong with the form, never
 * the number: a citizen number is personal data and reasons end up in logs. Lower case is refused, since two
 * spellings of one number would be two numbers to everybody who stores it.
 *
 * Numbers in real use that fail their check are known (a misread font, a typing error long ago); refusing
 * them is the caller's decision. */
#include "proto/base/identifiers.h"

#include "proto/base/calendar.h"
#include "proto/base/texts.h"

#include <stddef.h>
#include <string.h>

enum {
    USCC_SIZE = 18,
    ORGCODE_SIZE = 9,
    CITIZEN_SIZE = 18,
    AREA_SIZE = 6,
    CATALOG_SIZE = 12,
    IMPLEMENT_SIZE = USCC_SIZE + 1 + CATALOG_SIZE,
    HANDLE_ITEM_SIZE = IMPLEMENT_SIZE + 2,
    CASE_NUMBER_SIZE = IMPLEMENT_SIZE + 8 + 4,
    LICENCE_SIZE_MAX = 128,
};

static bool size_is(const char *text, size_t size)
{
    return strnlen(text, size + 1) == size;
}

static bool all_digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* The place of @c in @alphabet, or -1. */
static int value_in(const char *alphabet, char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static const char alphanumeric[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Eight digits that are a date of the calendar. */
static bool is_date(const char *text)
{
    if (!all_digits(text, 8))
        return false;
    int number = 0;
    for (int i = 0; i < 8; i++)
        number = number * 10 + (text[i] - '0');
    return day_from_civil(number / 10000, number / 100 % 100, number % 100) != DAY_NONE;
}

/* GB 32100-2015: weights are the powers of 3 modulo 31, the check value makes the sum divisible by 31. */
static const char *uscc_check_chars(const char *text)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    int weight = 1;
    int sum = 0;
    for (int i = 0; i < USCC_SIZE; i++) {
        int value = value_in(alphabet, text[i]);
        if (value < 0)
            return _("only digits and capitals without I, O, S, V and Z may occur");
        if (i < USCC_SIZE - 1)
            sum += value * weight;
        weight = weight * 3 % 31;
    }
    if (!all_digits(text + 2, AREA_SIZE))
        return _("characters 3 to 8, the area, must be digits");
    if (alphabet[(31 - sum % 31) % 31] != text[USCC_SIZE - 1])
        return _("the check character does not fit");
    return NULL;
}

const char *uscc_check(const char *text)
{
    return size_is(text, USCC_SIZE) ? uscc_check_chars(text) : _("it must have 18 characters");
}

/* GB 11714: letters count 10 to 35; the check is 11 less the remainder, 10 written X and 11 written 0. */
const char *orgcode_check(const char *text)
{
    static const int weights[ORGCODE_SIZE - 1] = {3, 7, 9, 10, 5, 8, 4, 2};
    if (!size_is(text, ORGCODE_SIZE))
        return _("it must have 9 characters, without a hyphen");
    int sum = 0;
    for (int i = 0; i < ORGCODE_SIZE - 1; i++) {
        int value = value_in(alphanumeric, text[i]);
        if (value < 0)
            return _("only digits and capitals may occur");
        sum += value * weights[i];
    }
    if ("0X987654321"[sum % 11] != text[ORGCODE_SIZE - 1])
        return _("the check character does not fit");
    return NULL;
}

/* GB 11643-1999, check by ISO 7064 MOD 11-2. The area is the one of the first registration: it may be retired
 * long since, so it is not looked up. */
const char *citizen_id_check(const char *text)
{
    static const int weights[CITIZEN_SIZE - 1] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    if (!size_is(text, CITIZEN_SIZE))
        return _("it must have 18 characters");
    if (!all_digits(text, CITIZEN_SIZE - 1) || value_in("0123456789X", text[CITIZEN_SIZE - 1]) < 0)
        return _("it must be 17 digits and a digit or a capital X");
    if (text[0] == '0')
        return _("it does not begin with an area");
    if (!is_date(text + AREA_SIZE))
        return _("the date of birth does not exist");
    int sum = 0;
    for (int i = 0; i < CITIZEN_SIZE - 1; i++)
        sum += (text[i] - '0') * weights[i];
    return "10X98765432"[sum % 11] == text[CITIZEN_SIZE - 1] ? NULL : _("the check character does not fit");
}

const char *area_check(const char *text)
{
    if (!size_is(text, AREA_SIZE) || !all_digits(text, AREA_SIZE) || text[0] == '0')
        return _("it must be six digits and not begin with 0");
    return NULL;
}

const char *catalog_code_check(const char *text)
{
    if (!size_is(text, CATALOG_SIZE) || !all_digits(text, CATALOG_SIZE))
        return _("it must be 12 digits");
    return NULL;
}

/* The first 31 characters, which longer codes share. */
static const char *implement_check_chars(const char *text)
{
    const char *reason = uscc_check_chars(text);
    if (reason)
        return reason;
    if (!all_digits(text + USCC_SIZE, IMPLEMENT_SIZE - USCC_SIZE))
        return _("characters 19 to 31, level and basic code, must be digits");
    return NULL;
}

const char *implement_code_check(const char *text)
{
    return size_is(text, IMPLEMENT_SIZE) ? implement_check_chars(text) : _("it must have 31 characters");
}

const char *handle_item_check(const char *text)
{
    if (!size_is(text, HANDLE_ITEM_SIZE))
        return _("it must have 33 characters");
    if (!all_digits(text + IMPLEMENT_SIZE, HANDLE_ITEM_SIZE - IMPLEMENT_SIZE))
        return _("the last two characters must be digits");
    return implement_check_chars(text);
}

const char *case_number_check(const char *text)
{
    if (!size_is(text, CASE_NUMBER_SIZE))
        return _("it must have 43 characters");
    if (!is_date(text + IMPLEMENT_SIZE))
        return _("characters 32 to 39 are not a date");
    if (!all_digits(text + IMPLEMENT_SIZE + 8, 4))
        return _("the last four characters must be digits");
    return implement_check_chars(text);
}

/* ISO 7064 MOD 37,36 over digits and letters; the last character is the check. */
const char *licence_mark_check(const char *text)
{
    size_t size = strnlen(text, LICENCE_SIZE_MAX + 1);
    if (size < 2 || size > LICENCE_SIZE_MAX)
        return _("it must have 2 to 128 characters");
    int product = 36;
    for (size_t i = 0; i < size; i++) {
        int value = value_in(alphanumeric, text[i]);
        if (value < 0)
            return _("only digits and capitals may occur");
        if (i == size - 1)
            return (product + value) % 36 == 1 ? NULL : _("the check character does not fit");
        int sum = (product + value) % 36;
        product = (sum == 0 ? 36 : sum) * 2 % 37;
    }
    return NULL;
}
