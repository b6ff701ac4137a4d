/* Vault: the keys that can be destroyed. One slot per (case, person) and per material holds a random 32-byte
 * key, wrapped under the hub's key-encryption key; a sealed body's single-use key is wrapped under its slot.
 * Overwriting the slot makes every body under it unreadable for ever, while leaves and proofs stay.
 *
 * Two files, DIR/vault/a and DIR/vault/b, hold the same slots, each with a checksum. Slots are made and
 * synced ahead, so that taking one needs no disk write. Which slots are taken is known from the bodies, not
 * from the vault: after a crash the owner says so. */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include "proto/crypto/suite.h"

#define VAULT_FORMAT 1

struct vault;

/* Opens DIR/vault, or makes it without slots (they count from 1); @suite: of the hub, its keys are wrapped
 * with it;
 * @ahead: how many vault_prepare keeps ready.
 * @kek is copied into locked memory;
 * CASEBUS_KEY when the vault was made under another one. A slot that is damaged in one copy is mended from
 * the other and counted in *mended (may be NULL), a lost copy is made again; damaged in both: known only when
 * it is asked. An erasure that reached one copy is completed. */
int vault_open(struct vault **vaultp, const char *dir, const struct suite *suite, const uint8_t kek[KEY_SIZE],
               unsigned ahead, unsigned *mended, struct casebus_error *err);
/* Opens the vault of a hub that may be running, for vault_key alone: writes and mends nothing. */
int vault_open_readonly(struct vault **vaultp, const char *dir, const struct suite *suite,
                        const uint8_t kek[KEY_SIZE], struct casebus_error *err);
struct vault *vault_close(struct vault *vault);
/* Says that slots up to @slot are taken (after replay, before the first vault_prepare).
 * Writer's thread only. */
void vault_set_taken(struct vault *vault, uint64_t slot);
uint64_t vault_taken(const struct vault *vault);
/* Takes the next slot and tells its key. CASEBUS_BUSY when none is ready: vault_prepare is behind. Writer's
 * thread only; no disk is touched. */
int vault_take(struct vault *vault, uint64_t *slotp, uint8_t key[KEY_SIZE], struct casebus_error *err);
/* The key of a taken slot. CASEBUS_NOT_FOUND: erased. CASEBUS_DAMAGED: in both copies, or never made. Any
 * thread. */
int vault_key(struct vault *vault, uint64_t slot, uint8_t key[KEY_SIZE], struct casebus_error *err);
/* Makes slots until @ahead are ready; syncs both copies. CASEBUS_DAMAGED when more are taken than were ever
 * made here: the vault was lost, or is an old copy. The keeper's thread. */
int vault_prepare(struct vault *vault, struct casebus_error *err);
/* How many slots are ready to be taken. Any thread. */
uint64_t vault_ready(const struct vault *vault);
/* Overwrites the slot in both copies, each synced; done again it is harmless. Any thread but one at a time.
 */
int vault_erase(struct vault *vault, uint64_t slot, struct casebus_error *err);
/* The same for many, with one sync of each copy. */
int vault_erase_slots(struct vault *vault, const uint64_t *slots, size_t n, struct casebus_error *err);

struct vault_counts {
    uint64_t keys, erased, damaged;
    uint64_t unlike; /* the copies differ, and one is the better */
};

/* Writes both copies once more, beside the old ones (a.new, b.new), with every key wrapped under @new_kek;
 * what was erased stays so. Synced when it returns, and without effect until vault_open is given @new_kek: it
 * then puts them in the old ones' places. Opened under the old key, they are dropped. Nobody may take or
 * erase meanwhile. */
int vault_rewrap(struct vault *vault, const uint8_t new_kek[KEY_SIZE], struct vault_counts *counts,
                 struct casebus_error *err);
/* Looks at every slot, whichever copy has it. For a vault that is opened to read. */
int vault_survey(struct vault *vault, struct vault_counts *counts, struct casebus_error *err);
/* Writes the slots as they are, wrapped, into one file at @path, synced: the better of each pair. Any vault.
 */
int vault_export(struct vault *vault, const char *path, struct vault_counts *counts,
                 struct casebus_error *err);
/* Counts the slots of such a file, without any key. @visit (may be NULL) is told each that is erased, in
 * order; what it returns, if not 0, is returned at once. */
typedef int vault_erased_fn(void *self, uint64_t slot, struct casebus_error *err);
int vault_export_survey(const char *path, struct vault_counts *counts, vault_erased_fn *visit, void *self,
                        struct casebus_error *err);
/* Makes DIR/vault from such a file. */
int vault_import(const char *dir, const char *path, struct casebus_error *err);
uint64_t vault_made(const struct vault *vault); /* slots that there are */

#endif
