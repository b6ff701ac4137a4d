/* Languages: both of them in one process. A thread speaks the one that it gives to uselocale(3). */
#ifndef BASE_LANGUAGES_H
#define BASE_LANGUAGES_H

#include <locale.h>

struct languages {
    locale_t english, chinese; /* 0 where the system has no such locale: the process's language stands in */
};

/* Called once by a program, after texts_init and before threads: makes Chinese available also to a process
 * that speaks English. */
void languages_prepare(void);
void languages_init(struct languages *languages);
void languages_deinit(struct languages *languages);
#endif
