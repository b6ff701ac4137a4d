/* Words for the peers, who read Chinese or English: a full sentence in the language of this process, and what
 * its code means in the other one. (The node, which shows them, chooses.)
 *
 * gettext knows the languages of a process, not of a sentence. But it follows the thread's locale: in "C" it
 * translates nothing, in any other it follows LANGUAGE, which the hub sets (words_prepare). */
#include "hub/bus/words.h"
#include "hub/bus/internal.h"
#include "proto/base/texts.h"

#include <stdlib.h>

static bool process_translates(void)
{
    const char *text = N_("no error");
    return strcmp(_(text), text) != 0;
}

void words_prepare(void)
{
    if (process_translates())
        return; /* into Chinese: there is no other catalogue */
    setlocale(LC_MESSAGES, "C");
    setenv("LANGUAGE", "zh_CN", 1);
}

void words_open(struct bus *bus)
{
    bus->english = newlocale(LC_MESSAGES_MASK, "C", (locale_t)0);
    bus->chinese = newlocale(LC_MESSAGES_MASK, "C.UTF-8", (locale_t)0);
}

void words_close(struct bus *bus)
{
    if (bus->english)
        freelocale(bus->english);
    if (bus->chinese)
        freelocale(bus->chinese);
}

/* In the process's language where the system has no such locale. */
static const char *meaning_in(locale_t locale, enum casebus_code code)
{
    if (!locale)
        return casebus_code_meaning(code);
    locale_t before = uselocale(locale);
    const char *meaning = casebus_code_meaning(code);
    uselocale(before);
    return meaning;
}

Casebus__V1__Text *words_of(struct bus *bus, enum casebus_code code, const char *text)
{
    Casebus__V1__Text *words = text[0] ? arena_alloc(&bus->arena, sizeof(*words)) : NULL;
    if (!words)
        return NULL;
    const char *english = meaning_in(bus->english, code), *chinese = meaning_in(bus->chinese, code);
    bool here_chinese = strcmp(casebus_code_meaning(code), english) != 0;
    casebus__v1__text__init(words);
    words->en = (char *)(here_chinese ? english : text);
    if (here_chinese)
        words->zh = (char *)text;
    else if (strcmp(chinese, english) != 0)
        words->zh = (char *)chinese;
    return words;
}

Casebus__V1__Text *words_only(struct bus *bus, const char *text)
{
    Casebus__V1__Text *words = words_of(bus, CASEBUS_OK, text);
    if (words && words->en != text)
        words->en = (char *)"";
    else if (words)
        words->zh = (char *)"";
    return words;
}
