#include "codegen/weights.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEC_NONE, SEC_DATA, SEC_STACK, SEC_SYMBOLS, SEC_NAMES, SEC_SECTION_NAMES, SECTIONS };
enum { LINE = 64 };

static const char section_names[] = "\0.rodata\0.note.GNU-stack\0.symtab\0.strtab\0.shstrtab";

/* Where the parts of the file lie: header, data, symbols, names, section names, section table. */
typedef struct Places {
    size_t data, bytes, symbols, names, names_len, section_names, sections, end;
} Places;

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static Places places_of(size_t bytes, const char *name)
{
    Places p = {.data = up(sizeof(Elf64_Ehdr), LINE), .bytes = bytes};
    p.symbols = up(p.data + bytes, 8);
    p.names = p.symbols + 2 * sizeof(Elf64_Sym);
    p.names_len = strlen(name) + 2;
    p.section_names = p.names + p.names_len;
    p.sections = up(p.section_names + sizeof section_names, 8);
    p.end = p.sections + SECTIONS * sizeof(Elf64_Shdr);
    return p;
}

static uint32_t name_of(const char *section)
{
    const char *at = section_names + 1;
    while (strcmp(at, section) != 0)
        at += strlen(at) + 1;
    return (uint32_t)(at - section_names);
}

static void write_header(char *file, const Places *p, const Target *t)
{
    bool arm = strncmp(t->triple, "aarch64", 7) == 0;
    Elf64_Ehdr h = {.e_type = ET_REL,
                    .e_machine = arm ? EM_AARCH64 : EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_shoff = p->sections,
                    .e_ehsize = sizeof(Elf64_Ehdr),
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = SECTIONS,
                    .e_shstrndx = SEC_SECTION_NAMES};
    memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    h.e_ident[EI_VERSION] = EV_CURRENT;
    memcpy(file, &h, sizeof h);
}

static void write_sections(char *tail, const Places *p)
{
    Elf64_Shdr s[SECTIONS] = {
        [SEC_DATA] = {.sh_name = name_of(".rodata"),
                      .sh_type = SHT_PROGBITS,
                      .sh_flags = SHF_ALLOC,
                      .sh_offset = p->data,
                      .sh_size = p->bytes,
                      .sh_addralign = LINE},
        [SEC_STACK] = {.sh_name = name_of(".note.GNU-stack"),
                       .sh_type = SHT_PROGBITS,
                       .sh_offset = p->symbols,
                       .sh_addralign = 1},
        [SEC_SYMBOLS] = {.sh_name = name_of(".symtab"),
                         .sh_type = SHT_SYMTAB,
                         .sh_offset = p->symbols,
                         .sh_size = 2 * sizeof(Elf64_Sym),
                         .sh_link = SEC_NAMES,
                         .sh_info = 1,
                         .sh_addralign = 8,
                         .sh_entsize = sizeof(Elf64_Sym)},
        [SEC_NAMES] = {.sh_name = name_of(".strtab"),
                       .sh_type = SHT_STRTAB,
                       .sh_offset = p->names,
                       .sh_size = p->names_len,
                       .sh_addralign = 1},
        [SEC_SECTION_NAMES] = {.sh_name = name_of(".shstrtab"),
                               .sh_type = SHT_STRTAB,
                               .sh_offset = p->section_names,
                               .sh_size = sizeof section_names,
                               .sh_addralign = 1},
    };
    memcpy(tail + p->sections - (p->data + p->bytes), s, sizeof s);
}

static void write_names(char *tail, const Places *p, const char *name)
{
    size_t from = p->data + p->bytes;
    Elf64_Sym symbol[2] = {{0},
                           {.st_name = 1,
                            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
                            .st_other = STV_HIDDEN,
                            .st_shndx = SEC_DATA,
                            .st_size = p->bytes}};
    memcpy(tail + p->symbols - from, symbol, sizeof symbol);
    memcpy(tail + p->names + 1 - from, name, p->names_len - 1);
    memcpy(tail + p->section_names - from, section_names, sizeof section_names);
}

bool weights_object(const Target *t, const char *prefix, size_t bytes, EmitPiece *head,
                    EmitPiece *tail, char *err, size_t err_len)
{
    char name[300];
    *head = *tail = (EmitPiece){0};
    if ((size_t)snprintf(name, sizeof name, "%s_weights", prefix) >= sizeof name) {
        snprintf(err, err_len, "the prefix is too long");
        return false;
    }
    Places at = places_of(bytes, name);
    head->len = at.data;
    tail->len = at.end - at.data - bytes;
    head->data = calloc(1, head->len);
    tail->data = calloc(1, tail->len);
    if (!head->data || !tail->data) {
        free(head->data);
        free(tail->data);
        *head = *tail = (EmitPiece){0};
        snprintf(err, err_len, "out of memory");
        return false;
    }
    write_header(head->data, &at, t);
    write_names(tail->data, &at, name);
    write_sections(tail->data, &at);
    return true;
}
