/* casebus: the command of a hub's operators, and of developers. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

int main(int argc, char **argv)
{
    texts_init();
    textdomain("casebus"); /* argp looks options up in the default domain, whatever its argp_domain says */
    return cli_main(argc, argv);
}
