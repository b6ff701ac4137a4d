/* The command `casebus` many times in one process, for tests that ask it hundreds of times: each line of the
 * input is one command line, its words joined by tabs. What it prints is followed by a line with 0x1E and its
 * exit code. A command line that makes no sense ends the process, as it ends the program. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define WORDS_MAX 64

static int line_run(char *line)
{
    char *words[WORDS_MAX + 1] = {(char *)"casebus"}, *rest = NULL;
    int n = 1;
    line[strcspn(line, "\n")] = '\0';
    for (char *word = strtok_r(line, "\t", &rest); word && n < WORDS_MAX; word = strtok_r(NULL, "\t", &rest))
        words[n++] = word;
    return cli_main(n, words);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    texts_init();
    while (getline(&line, &room, stdin) > 0) {
        int code = line_run(line);
        printf("\x1e%d\n", code);
        fflush(stdout);
    }
    free(line);
    return 0;
}
