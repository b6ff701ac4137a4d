/* Identifiers: the numbers of Chinese administration and their check digits.
 *
 * Each check function returns NULL when @text is right, or a short reason in the language of the process that
 * does not repeat the number itself (a citizen number is personal data). */
#ifndef BASE_IDENTIFIERS_H
#define BASE_IDENTIFIERS_H

#include <stdbool.h>

const char *uscc_check(const char *text);       /* unified social credit code, GB 32100-2015, 18 characters */
const char *orgcode_check(const char *text);    /* organisation code, GB 11714, 9 characters without hyphen */
const char *citizen_id_check(const char *text); /* citizen number, GB 11643-1999, 18 characters */
const char *area_check(const char *text);       /* administrative division, GB/T 2260: form of six digits */
const char *catalog_code_check(const char *text); /* basic item code (基本编码), 12 characters */
const char *
implement_code_check(const char *text); /* implementation code (实施编码), 31: USCC 18 + level 1 + basic 12 */
const char *handle_item_check(const char *text); /* handling item (业务办理项), 33: implementation code + 2 */
const char *
case_number_check(const char *text); /* case number in the 43-character form: 31 + yyyymmdd + serial 4 */
const char *licence_mark_check(const char *text); /* e-licence mark: ISO 7064 MOD 37,36 (GB/T 36904) */

#endif
