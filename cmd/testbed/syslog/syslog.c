// Cyrus IMAP logs by syslog(3) and in no other way. Preloaded, this appends what
// it says, debugging messages aside, to the file that TESTBED_SYSLOG names.

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static const char *name = "";

void openlog(const char *ident, int options, int facility)
{
	(void)options, (void)facility;
	if (ident)
		name = ident;
}

void closelog(void)
{
}

void vsyslog(int priority, const char *format, va_list args)
{
	const char *file = getenv("TESTBED_SYSLOG");
	char text[4096], clock[16];
	time_t now = time(NULL);
	struct tm tm;
	int fd;

	if (!file || LOG_PRI(priority) == LOG_DEBUG)
		return;
	fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return;
	vsnprintf(text, sizeof text, format, args);
	strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &tm));
	dprintf(fd, "%s %s[%d]: %s\n", clock, name, (int)getpid(), text);
	close(fd);
}

void syslog(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsyslog(priority, format, args);
	va_end(args);
}

// What _FORTIFY_SOURCE makes of calls of the two.

void __vsyslog_chk(int priority, int flag, const char *format, va_list args)
{
	(void)flag;
	vsyslog(priority, format, args);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list args;

	(void)flag;
	va_start(args, format);
	vsyslog(priority, format, args);
	va_end(args);
}
