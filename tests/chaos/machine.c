/* Preloaded into a process: what its machine is like stands in a file, and may change at run time.

   Its wall clock is wrong by some seconds; monotonic clocks stay as they are, as when an operator or
   NTP sets a machine's clock. (libfaketime 0.9.10 cannot do that: Python's time.sleep then fails with
   EINVAL.) Its disk is full: no byte goes into a file. Pipes and eventfds need no disk: strace, which
   lets every write fail, had libuv abort. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct machine {
  int64_t offset_s; /* of the wall clock */
  int64_t full;     /* whether the disk is */
  int64_t refused;  /* how often it has been */
};
static volatile struct machine *machine;

int follow(const char *path) {
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return -1;
  void *mapped = mmap(NULL, sizeof *machine, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped == MAP_FAILED) return -1;
  machine = mapped;
  return 0;
}

ssize_t write(int file, const void *bytes, size_t n) {
  static ssize_t (*real)(int, const void *, size_t);
  struct stat about;
  if (machine && machine->full && !fstat(file, &about) && S_ISREG(about.st_mode)) {
    machine->refused++;
    errno = ENOSPC;
    return -1;
  }
  if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  return real(file, bytes, n);
}

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(id, now);
  if (!failed && machine && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    now->tv_sec += machine->offset_s;
  return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec exact;
  (void)zone;
  int failed = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return failed;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
