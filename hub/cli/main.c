/* casebus: the command of a hub's operators, and of developers. */
#include "hub/cli/cli.h"
#include "proto/base/crash.h"
#include "proto/base/texts.h"
#include "proto/crypto/passphrase.h"
#include "proto/crypto/shield.h"

int main(int argc, char **argv)
{
    texts_init();
    crash_words_begin("casebus");
    shield_begin();
    passphrase_begin(NULL, true);
    return cli_main(argc, argv);
}
