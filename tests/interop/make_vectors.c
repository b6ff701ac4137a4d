/* Prints the golden vectors. Run by hand when something is added, never because a test fails: what was signed
 * with the old bytes stays signed.   build/tests/make_vectors > tests/interop/vectors.json */
#include "tests/interop/vectors.h"

#include <stdio.h>

int main(void)
{
    json_t *all = vectors_make();
    int r = json_dumpf(all, stdout, JSON_INDENT(1));

    putchar('\n');
    json_decref(all);
    return r ? 1 : 0;
}
