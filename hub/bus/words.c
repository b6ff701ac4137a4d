/* Words for the peers, who read Chinese or English: a full sentence in the language of this process, and what
 * its code means in the other one. (The node, which shows them, chooses.) */
#include "hub/bus/internal.h"
#include "proto/base/texts.h"

#include <string.h>

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
    const char *english = meaning_in(bus->languages.english, code),
               *chinese = meaning_in(bus->languages.chinese, code);
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
