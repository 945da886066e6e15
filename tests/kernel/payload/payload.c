/* What a container looks like from inside. One word says what to do; see main(). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void print_file(const char *path) {
  char buffer[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("error %d\n", errno);
    return;
  }
  ssize_t got;
  fflush(stdout);
  while ((got = read(fd, buffer, sizeof buffer)) > 0)
    if (write(1, buffer, (size_t)got) != got) exit(70);
  close(fd);
}

static void print_ids(void) {
  gid_t groups[64];
  int count = getgroups(64, groups);
  printf("uid=%d gid=%d groups=", (int)getuid(), (int)getgid());
  for (int i = 0; i < count; ++i) printf(i ? ",%d" : "%d", (int)groups[i]);
  printf("\n");
}

static void print_fds(void) {
  DIR *dir = opendir("/proc/self/fd");
  struct dirent *entry;
  printf("fds=");
  while (dir && (entry = readdir(dir)))
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir)) printf("%s,", entry->d_name);
  printf("\n");
}

static void report(void) {
  char cwd[4096];
  struct utsname names;
  struct rlimit files;
  mode_t mask = umask(0);
  umask(mask);
  uname(&names);
  getrlimit(RLIMIT_NOFILE, &files);
  print_ids();
  printf("cwd=%s\n", getcwd(cwd, sizeof cwd) ? cwd : "none");
  printf("hostname=%s\ndomainname=%s\n", names.nodename, names.domainname);
  printf("pid=%d sid=%d umask=%03o\n", (int)getpid(), (int)getsid(0), (unsigned)mask);
  printf("nofile=%lu:%lu\n", (unsigned long)files.rlim_cur, (unsigned long)files.rlim_max);
  print_fds();
  for (char **entry = environ; *entry; ++entry) printf("env %s\n", *entry);
  print_file("/proc/self/status");
}

static int list(const char *path) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  if (!dir) return printf("error %d\n", errno), 1;
  while ((entry = readdir(dir)))
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) printf("%s\n", entry->d_name);
  return 0;
}

static int status(const char *path) {
  struct stat s;
  if (lstat(path, &s)) return printf("error %d\n", errno), 1;
  printf("mode=%o uid=%d gid=%d rdev=%u:%u nlink=%u\n", (unsigned)s.st_mode, (int)s.st_uid,
         (int)s.st_gid, major(s.st_rdev), minor(s.st_rdev), (unsigned)s.st_nlink);
  return 0;
}

static int put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) return printf("error %d\n", errno), 1;
  printf("ok\n");
  return 0;
}

/* What a hook was given: its input and its environment, for the program to read. */
static int keep(const char *path) {
  char text[8192];
  ssize_t got = read(0, text, sizeof text);
  int fd = open(path, O_WRONLY | O_CREAT, 0644);
  if (fd < 0 || got < 0 || write(fd, text, (size_t)got) != got) return 1;
  for (char **entry = environ; *entry; ++entry) dprintf(fd, "\nenv %s", *entry);
  return 0;
}

/* How this process is scheduled and where it may run. */
static int traits(void) {
  unsigned long cpus[16] = {0}, nodes[16] = {0};
  int mode = -1;
  long got = syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus);
  long io = syscall(SYS_ioprio_get, 1, 0);
  struct timespec boot = {0};
  syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0, 0);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  printf("policy=%d nice=%d\n", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0));
  printf("io=%ld:%ld\ncpus=%lx\n", io >> 13, io & 7, got > 0 ? cpus[0] : 0);
  printf("personality=%lx\n", syscall(SYS_personality, 0xffffffff));
  printf("memory=%d:%lx\nboot=%ld\n", mode, nodes[0], (long)boot.tv_sec);
  print_file("/proc/self/oom_score_adj");
  return 0;
}

static int terminal(void) {
  struct winsize size;
  char name[256];
  if (ioctl(0, TIOCGWINSZ, &size)) return printf("error %d\n", errno), 1;
  printf("tty=%d size=%dx%d name=%s\n", isatty(0) && isatty(1) && isatty(2), size.ws_row,
         size.ws_col, ttyname_r(0, name, sizeof name) ? "none" : name);
  return status("/dev/console");
}

int main(int argc, char **argv) {
  const char *word = argc > 1 ? argv[1] : "report";
  const char *first = argc > 2 ? argv[2] : "";
  int code = 0;
  if (!strcmp(word, "report")) report();
  else if (!strcmp(word, "exit")) code = atoi(first);
  else if (!strcmp(word, "die")) raise(atoi(first)), pause();
  else if (!strcmp(word, "wait")) printf("waiting\n"), fflush(stdout), pause();
  else if (!strcmp(word, "read")) print_file(first);
  else if (!strcmp(word, "list")) code = list(first);
  else if (!strcmp(word, "stat")) code = status(first);
  else if (!strcmp(word, "write")) code = put(first, argc > 3 ? argv[3] : "x");
  else if (!strcmp(word, "terminal")) code = terminal();
  else if (!strcmp(word, "traits")) code = traits();
  else if (!strcmp(word, "keep")) code = keep(first);
  else code = 64;
  fflush(stdout);
  return code;
}
