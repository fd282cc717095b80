/*
 * What C's library asks an operating system for, answered by Everwit's interfaces: so the component imports nothing of WASI, and
 * what it can reach is what it imports. Time and randomness are the host's, streams are the log, everything else is not there.
 * Only what the program uses is linked.
 */
#include <stdio.h>

#include "internal.h"

/* Numbers of WASI preview 1. */
enum { OK = 0, BADF = 8, NOSYS = 52, CHARACTER_DEVICE = 2, STDOUT = 1, STDERR = 2, REALTIME = 0 };
/* Longest line of the log that is written at once. */
enum { LINE_BYTES = 1024 };

/* The library's parts that are written in C import by one name, those in zig by another. */
#define WASI(name) __imported_wasi_snapshot_preview1_##name
#define ALIAS(name)                                                        \
  extern __typeof__(WASI(name)) zig_##name __asm__(#name "|wasi_snapshot_preview1") \
      __attribute__((alias("__imported_wasi_snapshot_preview1_" #name)));

static struct {
  char text[LINE_BYTES];
  size_t len;
} lines[2];

static void tell(int32_t stream) {
  if (lines[stream - 1].len == 0) return;
  capability_string_t message = ew_bound(lines[stream - 1].text, lines[stream - 1].len);
  capability_list_tuple2_string_string_t fields = {0};
  everwit_host_log_write(stream == STDERR ? EVERWIT_HOST_LOG_LEVEL_WARN : EVERWIT_HOST_LOG_LEVEL_INFO, &message, &fields);
  lines[stream - 1].len = 0;
}

static void take(int32_t stream, const char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (bytes[i] == '\n') {
      tell(stream);
      continue;
    }
    /* A long line is told in pieces, each of whole characters. */
    if (lines[stream - 1].len >= LINE_BYTES - 4 && (bytes[i] & 0xc0) != 0x80) tell(stream);
    lines[stream - 1].text[lines[stream - 1].len++] = bytes[i];
    if (lines[stream - 1].len == LINE_BYTES) tell(stream);
  }
}

struct piece {
  const char *bytes;
  size_t len;
};

int32_t WASI(fd_write)(int32_t stream, int32_t pieces, int32_t count, int32_t written) {
  if (stream != STDOUT && stream != STDERR) return BADF;
  const struct piece *piece = (const struct piece *)pieces;
  size_t total = 0;
  for (int32_t i = 0; i < count; i++) {
    take(stream, piece[i].bytes, piece[i].len);
    total += piece[i].len;
  }
  *(size_t *)written = total;
  return OK;
}

/* Linked only into programs that have streams: a program without pays nothing for them. */
extern int fflush(FILE *stream) __attribute__((weak));

void ew_flush(void) {
  if (fflush) fflush(NULL);
  tell(STDOUT);
  tell(STDERR);
}

int32_t WASI(fd_fdstat_get)(int32_t stream, int32_t stat) {
  if (stream < 0 || stream > STDERR) return BADF;
  memset((void *)stat, 0, 24);
  *(uint8_t *)stat = CHARACTER_DEVICE;
  return OK;
}

int32_t WASI(clock_time_get)(int32_t clock, int64_t precision, int32_t time) {
  (void)precision;
  *(uint64_t *)time = (clock == REALTIME ? everwit_host_clock_now_ms() : everwit_host_clock_monotonic_ms()) * 1000000;
  return OK;
}

int32_t WASI(clock_res_get)(int32_t clock, int32_t resolution) {
  (void)clock;
  *(uint64_t *)resolution = 1000000;
  return OK;
}

int32_t WASI(random_get)(int32_t buffer, int32_t len) {
  /* The host gives at most that many at once. */
  enum { MOST = 65536 };
  for (int32_t done = 0; done < len;) {
    const int32_t part = len - done < MOST ? len - done : MOST;
    capability_list_u8_t bytes;
    everwit_host_random_bytes((uint32_t)part, &bytes);
    memcpy((char *)buffer + done, bytes.ptr, (size_t)part);
    free(bytes.ptr);
    done += part;
  }
  return OK;
}

static int32_t none(int32_t count, int32_t bytes) {
  *(size_t *)count = 0;
  *(size_t *)bytes = 0;
  return OK;
}

int32_t WASI(environ_sizes_get)(int32_t count, int32_t bytes) { return none(count, bytes); }
int32_t WASI(environ_get)(int32_t pointers, int32_t bytes) { return (void)pointers, (void)bytes, OK; }
int32_t WASI(args_sizes_get)(int32_t count, int32_t bytes) { return none(count, bytes); }
int32_t WASI(args_get)(int32_t pointers, int32_t bytes) { return (void)pointers, (void)bytes, OK; }

_Noreturn void WASI(proc_exit)(int32_t code) { ew_panic_at("exit", 0, "the program ended itself with the code %d", code); }
int32_t WASI(sched_yield)(void) { return OK; }

ALIAS(fd_write)
ALIAS(fd_fdstat_get)
ALIAS(clock_time_get)
ALIAS(clock_res_get)
ALIAS(random_get)
ALIAS(environ_sizes_get)
ALIAS(environ_get)
ALIAS(args_sizes_get)
ALIAS(args_get)
ALIAS(proc_exit)
ALIAS(sched_yield)

/* No file is open but the streams, and none can be opened. */
#define ABSENT(name, answer, ...) \
  int32_t WASI(name)(__VA_ARGS__) { return answer; } \
  ALIAS(name)
ABSENT(fd_close, OK, int32_t a)
ABSENT(fd_read, BADF, int32_t a, int32_t b, int32_t c, int32_t d)
ABSENT(fd_pread, BADF, int32_t a, int32_t b, int32_t c, int64_t d, int32_t e)
ABSENT(fd_pwrite, BADF, int32_t a, int32_t b, int32_t c, int64_t d, int32_t e)
ABSENT(fd_seek, BADF, int32_t a, int64_t b, int32_t c, int32_t d)
ABSENT(fd_tell, BADF, int32_t a, int32_t b)
ABSENT(fd_sync, BADF, int32_t a)
ABSENT(fd_datasync, BADF, int32_t a)
ABSENT(fd_advise, BADF, int32_t a, int64_t b, int64_t c, int32_t d)
ABSENT(fd_allocate, BADF, int32_t a, int64_t b, int64_t c)
ABSENT(fd_renumber, BADF, int32_t a, int32_t b)
ABSENT(fd_readdir, BADF, int32_t a, int32_t b, int32_t c, int64_t d, int32_t e)
ABSENT(fd_filestat_get, BADF, int32_t a, int32_t b)
ABSENT(fd_filestat_set_size, BADF, int32_t a, int64_t b)
ABSENT(fd_filestat_set_times, BADF, int32_t a, int64_t b, int64_t c, int32_t d)
ABSENT(fd_fdstat_set_flags, BADF, int32_t a, int32_t b)
ABSENT(fd_fdstat_set_rights, BADF, int32_t a, int64_t b, int64_t c)
ABSENT(fd_prestat_get, BADF, int32_t a, int32_t b)
ABSENT(fd_prestat_dir_name, BADF, int32_t a, int32_t b, int32_t c)
ABSENT(path_open, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int64_t f, int64_t g, int32_t h, int32_t i)
ABSENT(path_create_directory, NOSYS, int32_t a, int32_t b, int32_t c)
ABSENT(path_filestat_get, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e)
ABSENT(path_filestat_set_times, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int64_t e, int64_t f, int32_t g)
ABSENT(path_link, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f, int32_t g)
ABSENT(path_readlink, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f)
ABSENT(path_remove_directory, NOSYS, int32_t a, int32_t b, int32_t c)
ABSENT(path_rename, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f)
ABSENT(path_symlink, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e)
ABSENT(path_unlink_file, NOSYS, int32_t a, int32_t b, int32_t c)
ABSENT(poll_oneoff, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d)
ABSENT(proc_raise, NOSYS, int32_t a)
ABSENT(sock_accept, NOSYS, int32_t a, int32_t b, int32_t c)
ABSENT(sock_recv, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f)
ABSENT(sock_send, NOSYS, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e)
ABSENT(sock_shutdown, NOSYS, int32_t a, int32_t b)
