/* Texts: what people read, in Chinese or English (gettext domain "casebus", po/zh_CN.po). */
#ifndef BASE_TEXTS_H
#define BASE_TEXTS_H

#include <libintl.h>

#define _(text)          dgettext("casebus", text)
#define _n(one, many, n) dngettext("casebus", one, many, (unsigned long)(n)) /* "1 entry", "2 entries" */
#define N_(text)         (text) /* marks a text in a table; translate where it is shown */

/* Called once by each program before it starts threads. Language: CASEBUS_LANG (zh or en), otherwise LANGUAGE
 * and the locale; Chinese needs no installed locale. Catalogue: CASEBUS_LOCALEDIR of the environment, the
 * build's own or the one beside the program, or the installed one. */
void texts_init(void);

#endif
