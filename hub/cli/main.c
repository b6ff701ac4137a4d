/* casebus: the command of a hub's operators, and of developers. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

int main(int argc, char **argv)
{
    texts_init();
    return cli_main(argc, argv);
}
