/* drain: an HTTP/1.1 load client that costs as little as it can.
 *
 * N keep-alive connections in one epoll loop send GET or HEAD requests and let the kernel drop the
 * bodies (recv with MSG_TRUNC), so that what is measured is the server. The first --check connections
 * read their bodies and compare each byte with the file named by --compare. Every answer's status and
 * Content-Length (and Content-Range, when a range was asked) must be the expected ones.
 *
 * Prints one JSON object. Latencies are microseconds, measured from the moment the request is sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 32768, GULP = 1 << 20 };

typedef struct {
    int fd, slot;
    enum { CLOSED, CONNECTING, SHAKING, SENDING, HEADER, BODY, RESTING, DONE } state;
    SSL *ssl;
    char out[4096];
    int out_len, out_done;
    char head[HEAD_MAX];
    int head_len;
    int64_t body_left, body_at, want_length, want_start, first_body_seen;
    int64_t started, budget_at;   /* us */
    int64_t allowance;            /* bytes this connection may still read, with --read-rate */
    int checked, close_after, throttled, asked_range;
    uint32_t watched;
    long sent;
} Conn;

static struct {
    const char *host, *paths_file, *headers, *method, *compare;
    int port, connections, seconds_given, stampede, tls, expect, checks, reconnect, timeout;
    double seconds;
    long requests, per_connection;
    int64_t range_low, range_high, aligned, fixed_start, read_rate;
    int receive_buffer;
    uint64_t seed;
} opt = {.host = "127.0.0.1", .method = "GET", .headers = "", .connections = 1, .timeout = 600, .seed = 1,
         .fixed_start = -1};

static char **paths;
static int64_t *sizes;
static long path_count, next_path;
static int ep;
static SSL_CTX *tls;
static const unsigned char *reference;
static int64_t reference_size;
static char *gulp;

typedef struct { uint32_t *at; size_t used, room; } Samples;
static Samples first_bytes, totals;
static int64_t got_bytes, issued, answered, failed, wrong_status, wrong_header, wrong_bytes, cut_short, refused,
    reconnects, checked_bytes, statuses[600];
static int64_t begun, ended, deadline;
static int live;
static char complaint[512];

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t draw(void) { /* xorshift64* */
    opt.seed ^= opt.seed >> 12;
    opt.seed ^= opt.seed << 25;
    opt.seed ^= opt.seed >> 27;
    return opt.seed * 2685821657736338717ULL;
}

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(2);
}

static void complain(const char *format, ...) {
    if (complaint[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(complaint, sizeof complaint, format, args);
    va_end(args);
    for (char *c = complaint; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 32) *c = ' ';
}

static void keep(Samples *samples, int64_t us) {
    if (samples->used == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 65536;
        samples->at = realloc(samples->at, samples->room * sizeof *samples->at);
        if (!samples->at) die("out of memory");
    }
    samples->at[samples->used++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int rising(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void read_paths(void) {
    FILE *file = fopen(opt.paths_file, "r");
    if (!file) die("cannot open %s", opt.paths_file);
    char *line = NULL;
    size_t room = 0;
    long space = 0;
    while (getline(&line, &room, file) > 0) {
        char path[2048];
        long long size = -1;
        if (sscanf(line, "%2047s %lld", path, &size) < 1) continue;
        if (path_count == space) {
            space = space ? space * 2 : 1024;
            paths = realloc(paths, space * sizeof *paths);
            sizes = realloc(sizes, space * sizeof *sizes);
        }
        paths[path_count] = strdup(path);
        sizes[path_count++] = size;
    }
    fclose(file);
    free(line);
    if (!path_count) die("no path in %s", opt.paths_file);
}

static void watch(Conn *c, uint32_t events) {
    if (c->watched == events) return;
    c->watched = events;
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &event) < 0) die("epoll_ctl: %s", strerror(errno));
}

static void finish(Conn *c) {
    if (c->state != DONE) live--;
    c->state = DONE;
}

static void hang_up(Conn *c) {
    if (c->ssl) SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
}

static void dial(Conn *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (opt.receive_buffer) /* before the handshake, which tells the window */
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &opt.receive_buffer, sizeof opt.receive_buffer);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
    inet_pton(AF_INET, opt.host, &address.sin_addr);
    c->state = CONNECTING;
    c->head_len = 0;
    if (connect(c->fd, (void *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        complain("connect: %s", strerror(errno));
        refused++;
        hang_up(c);
        finish(c);
        return;
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    c->watched = EPOLLOUT;
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event);
}

static void fail(Conn *c, const char *why) {
    failed++;
    complain("connection %d, request %ld: %s (%lld bytes of the body missing)", c->slot, c->sent, why,
             (long long)c->body_left);
    hang_up(c);
    if (opt.reconnect && !opt.stampede && now_us() < deadline) {
        reconnects++;
        c->state = CLOSED;
        dial(c);
    } else
        finish(c);
}

static int may_ask(Conn *c) {
    if (opt.per_connection && c->sent >= opt.per_connection) return 0;
    if (opt.requests && issued >= opt.requests) return 0;
    if (opt.seconds_given && now_us() >= deadline) return 0;
    return 1;
}

static void flush_request(Conn *c);

static void ask(Conn *c) {
    if (!may_ask(c)) {
        finish(c);
        hang_up(c);
        c->state = DONE;
        return;
    }
    long which = next_path++ % path_count;
    int64_t size = sizes[which]; /* negative: not checked */
    char range[96] = "";
    c->want_start = 0;
    c->want_length = size;
    c->asked_range = 0;
    if (opt.range_low) {
        int64_t span = opt.range_low;
        if (opt.range_high > opt.range_low) span += draw() % (opt.range_high - opt.range_low + 1);
        int64_t start = opt.fixed_start >= 0 ? opt.fixed_start : (int64_t)(draw() % (uint64_t)(size - span + 1));
        if (opt.aligned && opt.fixed_start < 0) start -= start % opt.aligned;
        snprintf(range, sizeof range, "Range: bytes=%lld-%lld\r\n", (long long)start, (long long)(start + span - 1));
        c->want_start = start;
        c->want_length = span;
        c->asked_range = 1;
    }
    c->out_len = snprintf(c->out, sizeof c->out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", opt.method,
                          paths[which], opt.port, range, opt.headers);
    if (c->out_len >= (int)sizeof c->out) die("request too long");
    c->out_done = 0;
    c->head_len = 0;
    c->first_body_seen = 0;
    c->sent++;
    issued++;
    c->started = now_us();
    c->state = SENDING;
    flush_request(c);
}

static void flush_request(Conn *c) {
    while (c->out_done < c->out_len) {
        int n;
        if (c->ssl) {
            n = SSL_write(c->ssl, c->out + c->out_done, c->out_len - c->out_done);
            if (n <= 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE) n = -1, errno = EAGAIN;
            else if (n <= 0) { fail(c, "TLS write failed"); return; }
        } else
            n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) { watch(c, EPOLLOUT); return; }
            fail(c, strerror(errno));
            return;
        }
        c->out_done += n;
    }
    c->state = HEADER;
    watch(c, EPOLLIN);
}

static const char *field(Conn *c, const char *name) {
    size_t length = strlen(name);
    for (char *line = strstr(c->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, name, length) && line[length] == ':') {
            line += length + 1;
            while (*line == ' ') line++;
            return line;
        }
    }
    return NULL;
}

/* The whole header is in c->head. Zero when the answer is not the one asked for. */
static int judge(Conn *c) {
    int status = strlen(c->head) > 12 ? atoi(c->head + 9) : 0;
    int wanted = opt.expect ? opt.expect : c->asked_range ? 206 : 200;
    if (status > 0 && status < 600) statuses[status]++;
    const char *length = field(c, "content-length"), *connection = field(c, "connection");
    c->close_after = connection && !strncasecmp(connection, "close", 5);
    c->body_left = length ? strtoll(length, NULL, 10) : -1;
    if (status != wanted) {
        wrong_status++;
        complain("status %d instead of %d: %.120s", status, wanted, c->out);
        return 0;
    }
    if (c->body_left < 0) {
        wrong_header++;
        complain("no Content-Length");
        return 0;
    }
    if (c->want_length >= 0 && c->body_left != c->want_length && status < 300) {
        wrong_header++;
        complain("Content-Length %lld instead of %lld", (long long)c->body_left, (long long)c->want_length);
        return 0;
    }
    if (status == 206) {
        const char *range = field(c, "content-range");
        long long from, to;
        if (!range || sscanf(range, "bytes %lld-%lld", &from, &to) != 2 || from != c->want_start ||
            to != c->want_start + c->want_length - 1) {
            wrong_header++;
            complain("wrong Content-Range");
            return 0;
        }
    }
    if (!strcmp(opt.method, "HEAD")) c->body_left = 0;
    c->body_at = c->want_start;
    return 1;
}

static void answered_whole(Conn *c) {
    keep(&totals, now_us() - c->started);
    answered++;
    ended = now_us();
    if (c->close_after) {
        hang_up(c);
        if (may_ask(c)) {
            reconnects++;
            dial(c);
        } else
            finish(c);
        return;
    }
    ask(c);
}

static int64_t take(Conn *c, int64_t most) {
    int peek = c->checked;
    if (c->ssl) {
        int n = SSL_read(c->ssl, gulp, most);
        if (n > 0) return n;
        int error = SSL_get_error(c->ssl, n);
        if (error == SSL_ERROR_WANT_READ) { errno = EAGAIN; return -1; }
        return 0;
    }
    return recv(c->fd, gulp, most, peek ? 0 : MSG_TRUNC);
}

static void account(Conn *c, const char *bytes, int64_t n) {
    if (!c->first_body_seen) {
        c->first_body_seen = 1;
        keep(&first_bytes, now_us() - c->started);
    }
    got_bytes += n;
    if (c->checked && reference && bytes) {
        checked_bytes += n;
        if (c->body_at + n > reference_size || memcmp(bytes, reference + c->body_at, n)) {
            wrong_bytes++;
            complain("wrong bytes between %lld and %lld", (long long)c->body_at, (long long)(c->body_at + n));
        }
    }
    c->body_at += n;
    c->body_left -= n;
}

static void read_body(Conn *c) {
    for (int turn = 0; turn < 4 && c->body_left > 0; turn++) {
        int64_t most = c->body_left < GULP ? c->body_left : GULP;
        if (opt.read_rate) {
            if (c->allowance <= 0) { c->throttled = 1; watch(c, 0); return; }
            if (most > c->allowance) most = c->allowance;
        }
        int64_t n = take(c, most);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            cut_short++;
            fail(c, n ? strerror(errno) : "cut short");
            return;
        }
        c->allowance -= n;
        account(c, c->checked || c->ssl ? gulp : NULL, n);
    }
    if (c->body_left == 0) answered_whole(c);
    else if (c->ssl && SSL_pending(c->ssl)) read_body(c);
}

/* Looks at the header without taking it, then takes just the header: the body stays in the kernel. */
static void read_head(Conn *c) {
    char *end;
    int n;
    if (c->ssl) { /* byte by byte is cheap inside OpenSSL's record buffer */
        for (;;) {
            n = SSL_read(c->ssl, c->head + c->head_len, 1);
            if (n <= 0) {
                if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) return;
                fail(c, "TLS read failed in the header");
                return;
            }
            c->head[++c->head_len] = 0;
            if (c->head_len >= 4 && !memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) break;
            if (c->head_len >= HEAD_MAX - 2) { fail(c, "header too long"); return; }
        }
    } else {
        n = recv(c->fd, c->head + c->head_len, HEAD_MAX - 1 - c->head_len < 1024 ? HEAD_MAX - 1 - c->head_len : 1024,
                 MSG_PEEK);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { fail(c, n ? strerror(errno) : "hung up before the header"); return; }
        int before = c->head_len;
        c->head[before + n] = 0;
        end = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
        int taken = end ? (int)(end + 4 - c->head) - before : n;
        if (recv(c->fd, c->head + before, taken, 0) != taken) { fail(c, "short read of the header"); return; }
        c->head_len = before + taken;
        c->head[c->head_len] = 0;
        if (!end) {
            if (c->head_len >= HEAD_MAX - 1) fail(c, "header too long");
            return;
        }
    }
    if (!judge(c)) {
        failed++;
        hang_up(c);
        if (opt.reconnect && may_ask(c)) {
            reconnects++;
            dial(c);
        } else
            finish(c);
        return;
    }
    c->state = BODY;
    if (c->body_left == 0) {
        keep(&first_bytes, now_us() - c->started);
        answered_whole(c);
        return;
    }
    read_body(c);
}

static void shake(Conn *c) {
    int n = SSL_connect(c->ssl);
    if (n == 1) {
        if (opt.stampede) { c->state = RESTING; watch(c, 0); live--; }
        else ask(c);
        return;
    }
    int error = SSL_get_error(c->ssl, n);
    if (error == SSL_ERROR_WANT_READ) watch(c, EPOLLIN);
    else if (error == SSL_ERROR_WANT_WRITE) watch(c, EPOLLOUT);
    else fail(c, "TLS handshake failed");
}

static void connected(Conn *c) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        complain("connect: %s", strerror(error));
        refused++;
        hang_up(c);
        if (opt.reconnect && now_us() < deadline) { usleep(2000); dial(c); }
        else finish(c);
        return;
    }
    if (opt.tls) {
        c->ssl = SSL_new(tls);
        SSL_set_fd(c->ssl, c->fd);
        c->state = SHAKING;
        shake(c);
        return;
    }
    if (opt.stampede) { c->state = RESTING; watch(c, 0); live--; } /* live counts those still dialling */
    else ask(c);
}

static void turn(Conn *c) {
    switch (c->state) {
    case CONNECTING: connected(c); break;
    case SHAKING: shake(c); break;
    case SENDING: flush_request(c); break;
    case HEADER: read_head(c); break;
    case BODY: read_body(c); break;
    default: break;
    }
}

static void refill(Conn *conns) { /* every 20 ms each throttled connection may read on, a very slow one every second */
    static int64_t last;
    int64_t now = now_us();
    if (!last) last = now;
    if (now - last < 20000) return;
    int64_t more = opt.read_rate * (now - last) / 1000000, enough = opt.read_rate < 50000 ? opt.read_rate : 1;
    last = now;
    for (int i = 0; i < opt.connections; i++) {
        Conn *c = conns + i;
        c->allowance += more;
        if (c->allowance > opt.read_rate) c->allowance = opt.read_rate;
        if (c->throttled && c->allowance >= enough && c->state == BODY) {
            c->throttled = 0;
            watch(c, EPOLLIN);
        }
    }
}

static void loop(Conn *conns) {
    struct epoll_event events[256];
    int64_t hard_stop = now_us() + (int64_t)opt.timeout * 1000000;
    while (live > 0) {
        int n = epoll_wait(ep, events, 256, opt.read_rate ? 20 : 200);
        for (int i = 0; i < n; i++) {
            Conn *c = events[i].data.ptr;
            if (c->throttled && c->state == BODY && events[i].events & (EPOLLHUP | EPOLLERR)) {
                cut_short++;
                fail(c, "cut while it read nothing");
            } else
                turn(c);
        }
        if (opt.read_rate) refill(conns);
        if (now_us() > hard_stop) {
            for (int i = 0; i < opt.connections; i++)
                if (conns[i].state != DONE) { failed++; complain("not finished within --timeout"); }
            return;
        }
    }
}

static void stampede(Conn *conns) {
    loop(conns); /* all dial; live falls to zero when everybody stands at the door */
    begun = now_us();
    deadline = begun + (int64_t)(opt.seconds * 1e6);
    for (int i = 0; i < opt.connections; i++)
        if (conns[i].state == RESTING) live++;
    for (int i = 0; i < opt.connections; i++)
        if (conns[i].state == RESTING) ask(conns + i);
    loop(conns);
}

static double at_share(Samples *samples, double share) {
    if (!samples->used) return -1;
    size_t i = (size_t)(share * (samples->used - 1) + 0.5);
    return samples->at[i];
}

static void print_samples(const char *name, Samples *samples) {
    qsort(samples->at, samples->used, sizeof *samples->at, rising);
    printf("\"%s\": {\"p50\": %.0f, \"p90\": %.0f, \"p99\": %.0f, \"worst\": %.0f}, ", name, at_share(samples, .5),
           at_share(samples, .9), at_share(samples, .99), at_share(samples, 1));
}

static void report(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    double wall = (ended > begun ? ended - begun : 1) / 1e6;
    printf("{\"seconds\": %.6f, \"answered\": %lld, \"bytes\": %lld, \"failed\": %lld, \"wrong_status\": %lld, "
           "\"wrong_header\": %lld, \"wrong_bytes\": %lld, \"cut_short\": %lld, \"refused\": %lld, "
           "\"reconnects\": %lld, \"checked_bytes\": %lld, \"requests_per_second\": %.1f, "
           "\"gigabytes_per_second\": %.4f, \"client_cpu_seconds\": %.4f, ",
           wall, (long long)answered, (long long)got_bytes, (long long)failed, (long long)wrong_status,
           (long long)wrong_header, (long long)wrong_bytes, (long long)cut_short, (long long)refused,
           (long long)reconnects, (long long)checked_bytes, answered / wall, got_bytes / wall / 1e9, cpu);
    print_samples("first_byte_us", &first_bytes);
    print_samples("total_us", &totals);
    printf("\"statuses\": {");
    const char *comma = "";
    for (int i = 0; i < 600; i++)
        if (statuses[i]) printf("%s\"%d\": %lld", comma, i, (long long)statuses[i]), comma = ", ";
    printf("}, \"complaint\": \"%s\"}\n", complaint);
}

static const struct option options[] = {
    {"host", 1, 0, 'h'},        {"port", 1, 0, 'p'},       {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'},
    {"requests", 1, 0, 'n'},    {"each", 1, 0, 'e'},       {"paths", 1, 0, 'f'},       {"range", 1, 0, 'r'},
    {"range-to", 1, 0, 'R'},    {"start", 1, 0, 'a'},      {"aligned", 1, 0, 'A'},     {"header", 1, 0, 'H'},
    {"method", 1, 0, 'm'},      {"stampede", 0, 0, 'S'},   {"tls", 0, 0, 't'},         {"expect", 1, 0, 'x'},
    {"check", 1, 0, 'k'},       {"compare", 1, 0, 'K'},    {"reconnect", 0, 0, 'o'},   {"timeout", 1, 0, 'T'},
    {"read-rate", 1, 0, 'd'},   {"seed", 1, 0, 'z'},       {"receive-buffer", 1, 0, 'B'}, {0, 0, 0, 0}};

static void parse(int argc, char **argv) {
    int o;
    static char headers[8192];
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) switch (o) {
        case 'h': opt.host = optarg; break;
        case 'p': opt.port = atoi(optarg); break;
        case 'c': opt.connections = atoi(optarg); break;
        case 's': opt.seconds = atof(optarg); opt.seconds_given = 1; break;
        case 'n': opt.requests = atol(optarg); break;
        case 'e': opt.per_connection = atol(optarg); break;
        case 'f': opt.paths_file = optarg; break;
        case 'r': opt.range_low = atoll(optarg); break;
        case 'R': opt.range_high = atoll(optarg); break;
        case 'a': opt.fixed_start = atoll(optarg); break;
        case 'A': opt.aligned = atoll(optarg); break;
        case 'H': strncat(headers, optarg, sizeof headers - strlen(headers) - 3); strcat(headers, "\r\n"); break;
        case 'm': opt.method = optarg; break;
        case 'S': opt.stampede = 1; opt.per_connection = 1; break;
        case 't': opt.tls = 1; break;
        case 'x': opt.expect = atoi(optarg); break;
        case 'k': opt.checks = atoi(optarg); break;
        case 'K': opt.compare = optarg; break;
        case 'o': opt.reconnect = 1; break;
        case 'T': opt.timeout = atoi(optarg); break;
        case 'd': opt.read_rate = atoll(optarg); break;
        case 'B': opt.receive_buffer = atoi(optarg); break;
        case 'z': opt.seed = strtoull(optarg, NULL, 10) * 2 + 1; break;
        default: exit(2);
        }
    opt.headers = headers;
    if (!opt.port || !opt.paths_file) die("--port and --paths are needed");
    if (!opt.seconds_given && !opt.requests && !opt.per_connection) die("say --seconds, --requests or --each");
    if (opt.checks && !opt.compare) die("--check needs --compare");
}

static void map_reference(void) {
    int fd = open(opt.compare, O_RDONLY);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts)) die("cannot open %s", opt.compare);
    reference_size = facts.st_size;
    reference = mmap(NULL, reference_size, PROT_READ, MAP_SHARED, fd, 0);
    if (reference == MAP_FAILED) die("cannot map %s", opt.compare);
    close(fd);
}

int main(int argc, char **argv) {
    parse(argc, argv);
    read_paths();
    if (opt.compare) map_reference();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (opt.tls) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    gulp = malloc(GULP);
    Conn *conns = calloc(opt.connections, sizeof *conns);
    if (!conns || !gulp) die("out of memory");
    begun = now_us();
    deadline = opt.seconds_given ? begun + (int64_t)(opt.seconds * 1e6) : INT64_MAX;
    live = opt.connections;
    for (int i = 0; i < opt.connections; i++) {
        conns[i].slot = i;
        conns[i].checked = i < opt.checks;
        conns[i].allowance = opt.read_rate;
        dial(conns + i);
    }
    if (opt.stampede) stampede(conns);
    else loop(conns);
    report();
    return 0;
}
