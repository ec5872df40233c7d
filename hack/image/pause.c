/* First process of every pod's sandbox. With a shared process namespace it is the parent of whatever the
 * containers leave behind, so it must collect the dead. Ends at TERM or INT. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) {
  (void)number;
  _exit(0);
}

int main(void) {
  sigset_t child;
  struct sigaction ending = {.sa_handler = end};

  sigaction(SIGTERM, &ending, NULL);
  sigaction(SIGINT, &ending, NULL);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL); /* before the first look, so that no death falls in between */
  for (;;) {
    int number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
    sigwait(&child, &number);
  }
}
