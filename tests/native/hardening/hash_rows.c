/* Keys that were made to have one hash value do not get into one row. The tables are looked into, so their source is part of this program. */
#include "common.h"
#include "../src/pj/hash.c"

enum { KEYS = 4096, BITS = 12, LENGTH = 2 * BITS };

static char keys[KEYS][LENGTH + 1];

/* "a`" and "b?" have the same value, so what is made of the two has, in any order. */
static void make_keys(void)
{
    int i, bit;

    for (i = 0; i < KEYS; ++i) {
        for (bit = 0; bit < BITS; ++bit)
            memcpy(keys[i] + 2 * bit, i >> bit & 1 ? "a`" : "b?", 2);
        CHECK(pj_hash_calc(0, keys[i], LENGTH) == pj_hash_calc(0, keys[0], LENGTH));
    }
}

static unsigned longest_row(const pj_hash_table_t *table)
{
    unsigned row, longest = 0;

    for (row = 0; row <= table->rows; ++row) {
        unsigned length = 0;
        pj_hash_entry *entry;

        for (entry = table->table[row]; entry; entry = entry->next)
            ++length;
        longest = PJ_MAX(longest, length);
    }
    return longest;
}

int main(void)
{
    static pj_hash_entry_buf buffers[KEYS];
    int lower, i;

    begin();
    make_keys();
    for (lower = 0; lower < 2; ++lower) {
        pj_hash_table_t *table = pj_hash_create(pool, KEYS), *other = pj_hash_create(pool, KEYS);
        pj_hash_iterator_t buffer, *it;
        pj_uint32_t value = 0;
        int same = 0;

        CHECK(table && other);
        for (i = 0; i < KEYS; ++i)
            (lower ? pj_hash_set_np_lower : pj_hash_set_np)(table, keys[i], LENGTH, 0, buffers[i], keys[i]);
        CHECK(pj_hash_count(table) == KEYS);
        CHECK(longest_row(table) <= 20);        /* 4,096 keys in as many rows: more than 12 is a matter of centuries */
        for (i = 0; i < KEYS; ++i) {
            char upper[LENGTH + 1];
            int c;

            value = 0;
            CHECK((lower ? pj_hash_get_lower : pj_hash_get)(table, keys[i], LENGTH, &value) == keys[i]);
            CHECK(value == pj_hash_calc(0, keys[i], LENGTH));          /* the value that others see is as it was */
            CHECK((lower ? pj_hash_get_lower : pj_hash_get)(table, keys[i], LENGTH, &value) == keys[i]);
            for (c = 0; c <= LENGTH; ++c)
                upper[c] = (char)pj_toupper(keys[i][c]);
            CHECK(!lower || pj_hash_get_lower(table, upper, LENGTH, NULL) == keys[i]);
        }
        for (it = pj_hash_first(table, &buffer), i = 0; it; it = pj_hash_next(table, it))
            ++i;
        CHECK(i == (int)pj_hash_count(table));
        for (i = 0; i < KEYS; ++i) {
            same += row_of(table, keys[i], LENGTH, lower) == row_of(other, keys[i], LENGTH, lower);
            (lower ? pj_hash_set_lower : pj_hash_set)(NULL, table, keys[i], LENGTH, 0, NULL);
        }
        CHECK(same < KEYS / 8);                 /* each table has its own secret */
        CHECK(pj_hash_count(table) == 0 && longest_row(table) == 0);
    }
    puts("ok");
    return 0;
}
