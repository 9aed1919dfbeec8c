/* libarchive, opened when the first tar shard is: with all that it brings, loading it takes longer
 * than checking a network. */
#ifndef CNNDATA_ARCHIVE_LIB_H
#define CNNDATA_ARCHIVE_LIB_H
#include <archive.h>
#include <archive_entry.h>

/* The functions that are used, each a member of the same name and type. */
#define CNNDATA_ARCHIVE_FUNCTIONS(FUNCTION)                                                        \
    FUNCTION(archive_entry_filetype)                                                               \
    FUNCTION(archive_entry_hardlink)                                                               \
    FUNCTION(archive_entry_pathname)                                                               \
    FUNCTION(archive_entry_pathname_utf8)                                                          \
    FUNCTION(archive_entry_size)                                                                   \
    FUNCTION(archive_entry_sparse_count)                                                           \
    FUNCTION(archive_errno)                                                                        \
    FUNCTION(archive_error_string)                                                                 \
    FUNCTION(archive_filter_bytes)                                                                 \
    FUNCTION(archive_read_data)                                                                    \
    FUNCTION(archive_read_free)                                                                    \
    FUNCTION(archive_read_new)                                                                     \
    FUNCTION(archive_read_next_header)                                                             \
    FUNCTION(archive_read_open_filename)                                                           \
    FUNCTION(archive_read_support_format_tar)

typedef struct CnndataArchiveLib {
#define CNNDATA_MEMBER(NAME) __typeof__(NAME) *NAME;
    CNNDATA_ARCHIVE_FUNCTIONS(CNNDATA_MEMBER)
#undef CNNDATA_MEMBER
} CnndataArchiveLib;

/* The library, which then stays open; NULL with *why (a text that lives until this thread's next
 * call) when it is not on this machine. Any thread may call it. */
const CnndataArchiveLib *cnndata_archive_lib(const char **why);
#endif
