/* Crash: last words of a process that a damaged file has led astray.
 *
 * LMDB believes what stands in its pages: a turned bit can send it outside its map (SIGSEGV, SIGBUS) or into
 * an assertion (SIGABRT), or let it divide by a page size of zero (SIGFPE). Nothing can go on then, but what
 * was being read can be named, with the way out. A fault that has nothing to do with a watched file is left
 * to whoever handled it before. Decision 0014. */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#include <stddef.h>

#define CRASH_EXIT 74 /* the exit code then (EX_IOERR) */

/* From now on this process says last words. @program begins their line. Called once by main. */
void crash_words_begin(const char *program);

/* A mapped file: @text is the sentence (with the way out, in further lines) when a fault is about it. @code:
 * a function of the library that reads it; a fault on its way counts, too, and is taken to be about what this
 * thread named last by crash_use. Too many files, or too long a text: some will not be named. */
void crash_watch(const void *begin, size_t size, const void *code, const char *text);
void crash_forget(const void *begin);
/* This thread goes on with the file mapped at @begin. */
void crash_use(const void *begin);

#endif
