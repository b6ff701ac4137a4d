/* Words: both languages for what is sent to the peers. */
#ifndef BUS_WORDS_H
#define BUS_WORDS_H

/* Called once by the program, after texts_init and before threads: makes Chinese available also to a process
 * that speaks English. */
void words_prepare(void);

#endif
