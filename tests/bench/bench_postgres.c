/* PostgreSQL as an outbox table. At window 1 each event is an INSERT of its own; at larger windows everything
 * that may go now goes in one COPY BINARY transaction. Acknowledged = committed (synchronous_commit on). The
 * consumer reads finished transactions in (xid, id) order and commits its place in a table after each read.
 * Target: a libpq connection string. */
#include "tests/bench/driver.h"

#include <endian.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTEA_OID 17
#define IDLE_NS   1000000

static PGconn *connect_or_die(const struct options *options)
{
    PGconn *connection = PQconnectdb(options->target);
    if (PQstatus(connection) != CONNECTION_OK)
        die("%s", PQerrorMessage(connection));
    return connection;
}

static PGresult *checked(PGconn *connection, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_COPY_IN:
        return result;
    default:
        die("%s", PQerrorMessage(connection));
    }
}

static void execute(PGconn *connection, const char *sql)
{
    PQclear(checked(connection, PQexec(connection, sql)));
}

static void setup(const struct options *options)
{
    if (!options->produce)
        return;
    PGconn *connection = connect_or_die(options);
    execute(connection, "SET client_min_messages = error");
    execute(connection, "DROP TABLE IF EXISTS events, places");
    execute(
        connection,
        "CREATE TABLE events (xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"
        " id bigint GENERATED ALWAYS AS IDENTITY (CACHE 64), data bytea NOT NULL, PRIMARY KEY (xid, id))");
    execute(connection, "ALTER TABLE events ALTER data SET STORAGE EXTERNAL");
    execute(connection, "CREATE TABLE places (name text PRIMARY KEY, xid xid8, id bigint)");
    execute(connection, "INSERT INTO places VALUES ('c', '0', 0)");
    PQfinish(connection);
}

static void pause_ns(int64_t ns)
{
    if (ns > 0)
        nanosleep(&(struct timespec){ns / 1000000000, ns % 1000000000}, NULL);
}

static void insert_one(const struct options *options, PGconn *connection, struct producer *producer)
{
    uint8_t event[EVENT_SIZE];
    producer_fill(options, producer, event);
    const char *values[1] = {(const char *)event};
    const int sizes[1] = {EVENT_SIZE}, formats[1] = {1};
    PQclear(checked(connection, PQexecPrepared(connection, "insert", 1, values, sizes, formats, 0)));
    producer_acked(producer, 1);
}

/* Everything that may be sent now, as one COPY. @buffer has room for a window of rows. */
static void copy_many(const struct options *options, PGconn *connection, struct producer *producer,
                      char *buffer)
{
    static const char header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    int64_t wait_ns;
    size_t size = sizeof(header);
    memcpy(buffer, header, sizeof(header));
    while (producer_may_send(options, producer, &wait_ns)) {
        uint32_t length = htobe32(EVENT_SIZE);
        buffer[size] = 0;
        buffer[size + 1] = 1; /* one column */
        memcpy(buffer + size + 2, &length, 4);
        producer_fill(options, producer, (uint8_t *)buffer + size + 6);
        size += 6 + EVENT_SIZE;
    }
    memset(buffer + size, 0xff, 2);
    execute(connection, "COPY events (data) FROM STDIN (FORMAT binary)");
    if (PQputCopyData(connection, buffer, (int)size + 2) != 1 || PQputCopyEnd(connection, NULL) != 1)
        die("%s", PQerrorMessage(connection));
    PGresult *result;
    while ((result = PQgetResult(connection)))
        PQclear(checked(connection, result));
    producer_acked(producer, producer->sent - producer->acked);
}

static void produce(const struct options *options, struct producer *producer)
{
    int64_t wait_ns;
    const Oid types[1] = {BYTEA_OID};
    PGconn *connection = connect_or_die(options);
    char *buffer = malloc(64 + (size_t)options->window * (EVENT_SIZE + 6));
    if (!buffer)
        die("no memory");
    PQclear(checked(connection,
                    PQprepare(connection, "insert", "INSERT INTO events (data) VALUES ($1)", 1, types)));
    driver_ready();
    while (producer->acked < producer->count) {
        if (!producer_may_send(options, producer, &wait_ns))
            pause_ns(wait_ns);
        else if (options->window == 1)
            insert_one(options, connection, producer);
        else
            copy_many(options, connection, producer, buffer);
    }
    driver_producer_done(producer);
    free(buffer);
    PQfinish(connection);
}

static uint64_t big_endian(const PGresult *result, int row, int column)
{
    uint64_t value;
    memcpy(&value, PQgetvalue(result, row, column), sizeof(value));
    return be64toh(value);
}

static void prepare_consumer(PGconn *connection)
{
    PQclear(
        checked(connection,
                PQprepare(connection, "read",
                          "SELECT xid, id, data FROM events WHERE (xid, id) > ($1::text::xid8, $2::bigint)"
                          " AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id LIMIT 1000",
                          0, NULL)));
    PQclear(checked(connection,
                    PQprepare(connection, "place",
                              "UPDATE places SET xid = $1::text::xid8, id = $2::bigint WHERE name = 'c'", 0,
                              NULL)));
    execute(connection, "SET enable_seqscan = off");
    execute(connection, "SET enable_bitmapscan = off");
    execute(connection, "SET enable_sort = off");
}

static void consume(const struct options *options, struct consumer *consumer)
{
    char xid[32] = "0", id[32] = "0";
    const char *values[2] = {xid, id};
    PGconn *connection = connect_or_die(options);
    prepare_consumer(connection);
    driver_ready();
    while (consumer->got < consumer->wanted) {
        PGresult *rows = checked(connection, PQexecPrepared(connection, "read", 2, values, NULL, NULL, 1));
        int n = PQntuples(rows);
        for (int i = 0; i < n; i++)
            consumer_got(consumer, PQgetvalue(rows, i, 2), (size_t)PQgetlength(rows, i, 2));
        if (n) {
            snprintf(xid, sizeof(xid), "%llu", (unsigned long long)big_endian(rows, n - 1, 0));
            snprintf(id, sizeof(id), "%llu", (unsigned long long)big_endian(rows, n - 1, 1));
            PQclear(checked(connection, PQexecPrepared(connection, "place", 2, values, NULL, NULL, 0)));
        } else {
            pause_ns(IDLE_NS);
        }
        PQclear(rows);
    }
    driver_consumer_done(consumer);
    PQfinish(connection);
}

static int64_t stored(const struct options *options)
{
    PGconn *connection = PQconnectdb(options->target);
    PGresult *result = PQexec(connection, "SELECT id FROM events ORDER BY xid DESC, id DESC LIMIT 1");
    int64_t n =
        PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 ? (int64_t)options->probe : -1;
    PQclear(result);
    PQfinish(connection);
    return n;
}

int main(int argc, char **argv)
{
    static const struct peer peer = {"postgres", setup, produce, consume, stored};
    return driver_main(argc, argv, &peer);
}
