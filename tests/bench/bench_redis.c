/* Redis Streams: XADD in a pipeline; the consumer reads by XREADGROUP and acknowledges each reply with XACK.
 * Target: host:port. */
#include "tests/bench/driver.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_COUNT 500

static redisContext *try_connect(const struct options *options)
{
    char host[256];
    const char *colon = strrchr(options->target, ':');
    if (!colon)
        die("--target host:port");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - options->target), options->target);
    redisContext *context = redisConnectWithTimeout(host, atoi(colon + 1), (struct timeval){1, 0});
    if (context && context->err) {
        redisFree(context);
        return NULL;
    }
    return context;
}

static redisContext *connect_or_die(const struct options *options)
{
    redisContext *context = try_connect(options);
    if (!context)
        die("cannot connect to %s", options->target);
    return context;
}

static redisReply *checked(redisContext *context, redisReply *reply)
{
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        die("%s", reply ? reply->str : context->errstr);
    return reply;
}

static void setup(const struct options *options)
{
    if (!options->produce)
        return;
    redisContext *context = connect_or_die(options);
    freeReplyObject(checked(context, redisCommand(context, "DEL s")));
    freeReplyObject(checked(context, redisCommand(context, "XGROUP CREATE s g 0 MKSTREAM")));
    redisFree(context);
}

static void flush(redisContext *context)
{
    int done = 0;
    while (!done)
        if (redisBufferWrite(context, &done) != REDIS_OK)
            die("%s", context->errstr);
}

static void collect(redisContext *context, struct producer *producer)
{
    void *reply;
    if (redisBufferRead(context) != REDIS_OK)
        die("%s", context->errstr);
    while (redisReaderGetReply(context->reader, &reply) == REDIS_OK && reply) {
        freeReplyObject(checked(context, reply));
        producer_acked(producer, 1);
    }
}

static void produce(const struct options *options, struct producer *producer)
{
    uint8_t event[EVENT_SIZE];
    int64_t wait_ns;
    redisContext *context = connect_or_die(options);
    driver_ready();
    while (producer->acked < producer->count) {
        bool sent = false;
        while (producer_may_send(options, producer, &wait_ns)) {
            producer_fill(options, producer, event);
            redisAppendCommand(context, "XADD s * d %b", event, (size_t)EVENT_SIZE);
            sent = true;
        }
        if (sent)
            flush(context);
        struct pollfd fd = {context->fd, POLLIN, 0};
        struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        if (ppoll(&fd, 1, wait_ns < 0 ? NULL : &wait, NULL) > 0)
            collect(context, producer);
    }
    driver_producer_done(producer);
    redisFree(context);
}

/* Takes the events of one XREADGROUP reply and queues their XACK. */
static void take(redisContext *context, struct consumer *consumer, const redisReply *reply)
{
    const char *words[READ_COUNT + 3] = {"XACK", "s", "g"};
    size_t sizes[READ_COUNT + 3] = {4, 1, 1};
    int n = 3;
    const redisReply *entries = reply->element[0]->element[1];
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i], *data = entry->element[1]->element[1];
        consumer_got(consumer, data->str, data->len);
        words[n] = entry->element[0]->str;
        sizes[n++] = entry->element[0]->len;
    }
    redisAppendCommandArgv(context, n, words, sizes);
}

static redisReply *next_reply(redisContext *context)
{
    void *reply = NULL;
    if (redisGetReply(context, &reply) != REDIS_OK)
        die("%s", context->errstr);
    return checked(context, reply);
}

static void consume(const struct options *options, struct consumer *consumer)
{
    static const char read_more[] = "XREADGROUP GROUP g c1 COUNT 500 BLOCK 20000 STREAMS s >";
    redisContext *context = connect_or_die(options);
    driver_ready();
    redisAppendCommand(context, read_more);
    while (consumer->got < consumer->wanted) {
        redisReply *reply = next_reply(context);
        if (reply->type != REDIS_REPLY_ARRAY || !reply->elements)
            die("the stream was silent for 20 s");
        take(context, consumer, reply);
        freeReplyObject(reply);
        if (consumer->got < consumer->wanted)
            redisAppendCommand(context, read_more);
        freeReplyObject(next_reply(context)); /* of XACK */
    }
    driver_consumer_done(consumer);
    redisFree(context);
}

static int64_t stored(const struct options *options)
{
    redisContext *context = try_connect(options);
    if (!context)
        return -1;
    redisReply *reply = redisCommand(context, "XLEN s");
    int64_t n = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    redisFree(context);
    return n;
}

int main(int argc, char **argv)
{
    static const struct peer peer = {"redis", setup, produce, consume, stored};
    return driver_main(argc, argv, &peer);
}
