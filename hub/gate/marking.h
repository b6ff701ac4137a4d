/* Marking: text that is marked as a state secret has no business here (State Council decree 809, art. 3). The
 * mark is one of 绝密, 机密 and 秘密 with a star behind it and how long it holds ("秘密★10年"). */
#ifndef GATE_MARKING_H
#define GATE_MARKING_H

#include "proto/base/bytes.h"

/* Whether @text, UTF-8 or a message that holds some, bears the mark. */
bool marking_found(struct bytes text);

#endif
