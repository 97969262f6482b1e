// SPDX-License-Identifier: Apache-2.0
// ELF sections, symbols and instructions, then what the BTF says. Everything that is not known to
// be harmless is refused.
#include "modules/function/object.h"

#include <bpf/btf.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

#define SECTIONS 64
#define PSEUDO_CALL 1 // insn.src_reg of a call within the object
#define MANIFEST ".zeta"

struct file {
	const __u8 *bytes;
	size_t size;
	const Elf64_Shdr *section;
	size_t sections;
	const char *names; // of sections, and their size
	size_t names_size;
	char *why;
};

static int refuse(const struct file *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(const struct file *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->why, OBJECT_WHY, format, args);
	va_end(args);
	return -EINVAL;
}

static int is_within(const struct file *f, __u64 offset, __u64 size)
{
	return offset <= f->size && size <= f->size - offset;
}

// A name out of a table of strings; "" where there is none.
static const char *name_at(const char *names, size_t size, __u32 at)
{
	return at < size && memchr(names + at, 0, size - at) ? names + at : "";
}

static const char *section_name(const struct file *f, const Elf64_Shdr *section)
{
	return name_at(f->names, f->names_size, section->sh_name);
}

static const Elf64_Shdr *section_find(const struct file *f, const char *name)
{
	for (size_t i = 1; i < f->sections; i++)
		if (!strcmp(section_name(f, &f->section[i]), name))
			return &f->section[i];
	return NULL;
}

static int read_header(struct file *f)
{
	const Elf64_Ehdr *h = (const void *)f->bytes;
	const Elf64_Shdr *names;

	if (f->size > ZETA_OBJECT_BYTES)
		return refuse(f,
			      "the object has %zu bytes, %u are allowed: strip it of debugging "
			      "information with llvm-strip -g",
			      f->size, ZETA_OBJECT_BYTES);
	if (f->size < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 ||
	    h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_type != ET_REL || h->e_machine != EM_BPF)
		return refuse(f, "this is no object file for BPF (clang -target bpf -c)");
	if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shoff % 8 || h->e_shnum < 2 ||
	    h->e_shnum > SECTIONS || h->e_shstrndx >= h->e_shnum ||
	    !is_within(f, h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr)))
		return refuse(f, "the object's table of sections is malformed");
	f->section = (const void *)(f->bytes + h->e_shoff);
	f->sections = h->e_shnum;
	for (size_t i = 0; i < f->sections; i++)
		if (f->section[i].sh_type != SHT_NOBITS &&
		    !is_within(f, f->section[i].sh_offset, f->section[i].sh_size))
			return refuse(f, "section %zu of the object lies outside of it", i);
	names = &f->section[h->e_shstrndx];
	if (names->sh_type != SHT_STRTAB)
		return refuse(f, "the object's sections have no names");
	f->names = (const char *)f->bytes + names->sh_offset;
	f->names_size = names->sh_size;
	return 0;
}

static int check_sections(const struct file *f)
{
	static const char *const known[] = {
		".strtab",     ".symtab",      ".shstrtab",	".text",	   ".rel.text",
		".maps",       ".bss",	       ".data",		".rodata",	   ".BTF",
		".rel.BTF",    ".BTF.ext",     MANIFEST,	".comment",	   ".rel.data",
		".rel.rodata", ".rel.BTF.ext", ".llvm_addrsig", ".note.GNU-stack",
	};
	const size_t count = sizeof(known) / sizeof(known[0]);
	const char *name;
	size_t i, k;

	for (i = 1; i < f->sections; i++) {
		name = section_name(f, &f->section[i]);
		// Who links takes all of a name; what is checked here is one.
		for (k = 1; k < i; k++)
			if (!strcmp(section_name(f, &f->section[k]), name))
				return refuse(f, "the object has two sections \"%.40s\"", name);
		if (f->section[i].sh_size > ZETA_OBJECT_BYTES)
			return refuse(f, "section \"%.40s\" has more than %u bytes", name,
				      ZETA_OBJECT_BYTES);
		for (k = 0; k < count && strcmp(known[k], name) != 0; k++)
			;
		if (k < count || !strncmp(name, ".rodata.", 8))
			continue;
		if (!strncmp(name, ".debug", 6) || !strncmp(name, ".rel.debug", 10))
			return refuse(f, "the object has debugging information: strip it with "
					 "llvm-strip -g");
		return refuse(f,
			      "the object has a section \"%.40s\": a function has code in .text "
			      "only, called through zeta_first_packet or zeta_every_packet",
			      name);
	}
	return 0;
}

static int check_symbol(const struct file *f, const Elf64_Sym *s, const char *name,
			struct function_object *out)
{
	const int type = ELF64_ST_TYPE(s->st_info), binding = ELF64_ST_BIND(s->st_info);
	const char *section;

	if (s->st_shndx == SHN_UNDEF)
		return refuse(f, "\"%.60s\" is used and is not in the object", name);
	if (type == STT_FILE || (binding == STB_LOCAL && s->st_shndx == SHN_ABS))
		return 0;
	if (s->st_shndx >= f->sections)
		return refuse(f, "symbol \"%.60s\" is in no section", name);
	section = section_name(f, &f->section[s->st_shndx]);
	if (binding == STB_LOCAL)
		return 0;
	if (binding != STB_GLOBAL)
		return refuse(f, "\"%.60s\" is weak", name);
	if (!strcmp(section, ".maps") && type == STT_OBJECT)
		return 0;
	if (!strcmp(section, MANIFEST) && !strcmp(name, "zeta_manifest"))
		return 0;
	if (!strcmp(section, ".text") && type == STT_FUNC) {
		out->first |= !strcmp(name, "zeta_first_packet");
		out->every |= !strcmp(name, "zeta_every_packet");
		if (!strcmp(name, "zeta_first_packet") || !strcmp(name, "zeta_every_packet"))
			return 0;
	}
	return refuse(f, "\"%.60s\" is no entry point and no map: it must be static", name);
}

static int check_symbols(const struct file *f, struct function_object *out)
{
	const Elf64_Shdr *table = section_find(f, ".symtab"), *names;
	const Elf64_Sym *symbol;
	size_t i;
	int err;

	if (!table || table->sh_offset % 8 || table->sh_link >= f->sections)
		return refuse(f, "the object has no symbols");
	names = &f->section[table->sh_link];
	if (names->sh_type != SHT_STRTAB)
		return refuse(f, "the object's symbols have no names");
	symbol = (const void *)(f->bytes + table->sh_offset);
	for (i = 1; i < table->sh_size / sizeof(*symbol); i++) {
		err = check_symbol(f, &symbol[i],
				   name_at((const char *)f->bytes + names->sh_offset,
					   names->sh_size, symbol[i].st_name),
				   out);
		if (err)
			return err;
	}
	if (!out->first && !out->every)
		return refuse(f, "the object has neither zeta_first_packet nor zeta_every_packet");
	return 0;
}

// What zeta/nf.h declares.
static int is_helper(__s32 number)
{
	static const __s32 allowed[] = {1, 2, 3, 5, 7, 8};

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (allowed[i] == number)
			return 1;
	return 0;
}

static int check_instructions(const struct file *f)
{
	const Elf64_Shdr *text = section_find(f, ".text");
	const struct bpf_insn *insn;
	size_t count, i;

	if (!text || text->sh_type != SHT_PROGBITS || text->sh_size % sizeof(*insn) ||
	    text->sh_offset % 8)
		return refuse(f, "the object has no code");
	insn = (const void *)(f->bytes + text->sh_offset);
	count = text->sh_size / sizeof(*insn);
	for (i = 0; i < count; i++) {
		const __u8 code = insn[i].code, source = insn[i].src_reg;

		if (code == (BPF_LD | BPF_IMM | BPF_DW)) {
			if (source || i + 1 == count)
				return refuse(f, "instruction %zu names something of the kernel's",
					      i);
			i++;
		} else if (BPF_CLASS(code) == BPF_LD) {
			return refuse(f, "instruction %zu reads a packet, which is not there", i);
		} else if (code == (BPF_JMP | BPF_CALL | BPF_X)) {
			return refuse(f, "instruction %zu calls what a register says", i);
		} else if (code == (BPF_JMP | BPF_CALL) && source != PSEUDO_CALL) {
			if (source)
				return refuse(f, "instruction %zu calls a kernel function", i);
			if (!is_helper(insn[i].imm))
				return refuse(f,
					      "instruction %zu calls helper %d, which is none of "
					      "those that a function may use",
					      i, insn[i].imm);
		}
	}
	return 0;
}

static int read_manifest(const struct file *f, struct function_object *out)
{
	static const char *const licenses[] = {
		"GPL",		"GPL v2",	"GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
	};
	const Elf64_Shdr *section = section_find(f, MANIFEST);
	struct zeta_manifest m;
	size_t i;

	if (!section || section->sh_type != SHT_PROGBITS || section->sh_size != sizeof(m))
		return refuse(f, "the object says nothing about itself: ZETA_FUNCTION of "
				 "zeta/nf.h does");
	memcpy(&m, f->bytes + section->sh_offset, sizeof(m));
	if (m.abi != ZETA_NF_ABI)
		return refuse(f, "the object is made for version %u of zeta/nf.h, this is %u",
			      m.abi, ZETA_NF_ABI);
	if (m.may & ~(__u32)ZETA_MAY_ALL)
		return refuse(f, "the object wants to do what nobody knows (0x%x)",
			      m.may & ~(__u32)ZETA_MAY_ALL);
	m.license[sizeof(m.license) - 1] = 0;
	for (i = 0; i < sizeof(licenses) / sizeof(licenses[0]); i++)
		if (!strcmp(licenses[i], m.license))
			break;
	if (i == sizeof(licenses) / sizeof(licenses[0]))
		return refuse(f, "the function's license is not compatible with the GPL");
	out->may = m.may;
	return 0;
}

// ---- BTF

static const struct btf_type *real_type(const struct btf *btf, __u32 id, int *network)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	const char *name;
	int depth;

	for (depth = 0; t && depth < 16; depth++) {
		if (!btf_is_typedef(t) && !btf_is_mod(t))
			return t;
		name = btf__name_by_offset(btf, t->name_off);
		if (btf_is_typedef(t) && name &&
		    (!strcmp(name, "__be16") || !strcmp(name, "__be32")))
			*network = 1;
		t = btf__type_by_id(btf, t->type);
	}
	return NULL;
}

static int read_type(const struct btf *btf, __u32 id, struct object_field *out)
{
	int network = 0;
	const struct btf_type *t = real_type(btf, id, &network);
	const char *name;

	if (t && btf_is_array(t) && !out->count) {
		out->count = btf_array(t)->nelems;
		if (!out->count || out->count > ZETA_CONFIG_BYTES)
			return -EINVAL;
		return read_type(btf, btf_array(t)->type, out);
	}
	if (!t)
		return -EINVAL;
	out->size = t->size;
	if (btf_is_int(t)) {
		out->type = network ? OBJECT_NETWORK : OBJECT_INTEGER;
		return btf_int_encoding(t) || (t->size & (t->size - 1)) || t->size > 8 ? -EINVAL
										       : 0;
	}
	name = btf__name_by_offset(btf, t->name_off);
	out->type = OBJECT_ADDRESS;
	return btf_is_struct(t) && t->size == 16 && name && !strcmp(name, "in6_addr") ? 0 : -EINVAL;
}

static int read_config(const struct file *f, const struct btf *btf, struct function_object *out)
{
	int id = btf__find_by_name_kind(btf, "zeta_config", BTF_KIND_STRUCT), i;
	const struct btf_type *t;
	const struct btf_member *m;

	if (id < 0)
		return 0;
	t = btf__type_by_id(btf, (__u32)id);
	if (t->size > ZETA_CONFIG_BYTES || btf_vlen(t) > OBJECT_FIELDS)
		return refuse(f,
			      "struct zeta_config has %u bytes and %u fields; %u and %u are "
			      "allowed",
			      t->size, btf_vlen(t), ZETA_CONFIG_BYTES, OBJECT_FIELDS);
	m = btf_members(t);
	for (i = 0; i < btf_vlen(t); i++) {
		struct object_field *field = &out->field[out->fields];
		const char *name = btf__name_by_offset(btf, m[i].name_off);

		if (!name || !*name || strlen(name) >= sizeof(field->name))
			return refuse(f, "field %d of struct zeta_config has no usable name", i);
		*field = (struct object_field){.offset = btf_member_bit_offset(t, i) / 8};
		if (btf_member_bitfield_size(t, i) || btf_member_bit_offset(t, i) % 8 ||
		    read_type(btf, m[i].type, field))
			return refuse(f,
				      "field %.40s of struct zeta_config is of a type that cannot "
				      "be configured",
				      name);
		if ((__u64)field->offset + (__u64)field->size * (field->count ?: 1) > t->size)
			return refuse(f, "field %.40s of struct zeta_config is malformed", name);
		memcpy(field->name, name, strlen(name) + 1);
		out->fields++;
	}
	out->config_size = t->size;
	return 0;
}

// A member of a map's definition is a pointer: to an array whose length is the number, or to the
// type.
static int pointed(const struct btf *btf, const struct btf_member *m, __u32 *number, __u32 *id)
{
	const struct btf_type *t = btf__type_by_id(btf, m->type);

	if (!t || !btf_is_ptr(t))
		return -EINVAL;
	*id = t->type;
	t = btf__type_by_id(btf, t->type);
	*number = t && btf_is_array(t) ? btf_array(t)->nelems : 0;
	return 0;
}

static int is_per_cpu(__u32 type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static int is_allowed_map(__u32 type)
{
	return is_per_cpu(type) || type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_HASH;
}

static int check_map(const struct file *f, const struct btf *btf, __u32 variable, unsigned int cpus,
		     __u64 *bytes)
{
	const struct btf_type *v = btf__type_by_id(btf, variable), *t;
	const char *name = v ? btf__name_by_offset(btf, v->name_off) : NULL, *member;
	__u32 number, id, type = 0, entries = 0;
	__s64 key = 0, value = 0;
	int none = 0, i;

	if (!v || !btf_is_var(v) || !name)
		return refuse(f, "section .maps is malformed");
	t = real_type(btf, v->type, &none);
	if (!t || !btf_is_struct(t))
		return refuse(f, "map %.40s is malformed", name);
	for (i = 0; i < btf_vlen(t); i++) {
		member = btf__name_by_offset(btf, btf_members(t)[i].name_off);
		if (!member || pointed(btf, &btf_members(t)[i], &number, &id))
			return refuse(f, "map %.40s is malformed", name);
		if (!strcmp(member, "type"))
			type = number;
		else if (!strcmp(member, "max_entries"))
			entries = number;
		else if (!strcmp(member, "key"))
			key = btf__resolve_size(btf, id);
		else if (!strcmp(member, "value"))
			value = btf__resolve_size(btf, id);
		else
			return refuse(f, "map %.40s sets \"%.20s\", which is not allowed", name,
				      member);
	}
	if (!is_allowed_map(type))
		return refuse(f, "map %.40s is of kind %u, which is not allowed", name, type);
	if (key <= 0 || value <= 0 || !entries || key > ZETA_MAP_BYTES || value > ZETA_MAP_BYTES)
		return refuse(f, "map %.40s has no key, value or number of entries", name);
	*bytes += (__u64)entries * ((__u64)key + (__u64)value * (is_per_cpu(type) ? cpus : 1));
	if (*bytes > ZETA_MAP_BYTES)
		return refuse(f, "with map %.40s the object's maps need more than %u bytes", name,
			      ZETA_MAP_BYTES);
	return 0;
}

static int check_maps(const struct file *f, const struct btf *btf, unsigned int cpus)
{
	int id = btf__find_by_name_kind(btf, ".maps", BTF_KIND_DATASEC), i, err;
	const struct btf_type *t;
	__u64 bytes = 0;

	if (id < 0)
		return section_find(f, ".maps") ? refuse(f, "section .maps is malformed") : 0;
	t = btf__type_by_id(btf, (__u32)id);
	if (btf_vlen(t) > ZETA_MAPS)
		return refuse(f, "the object has %u maps, %u are allowed", btf_vlen(t), ZETA_MAPS);
	for (i = 0; i < btf_vlen(t); i++)
		if ((err = check_map(f, btf, btf_var_secinfos(t)[i].type, cpus, &bytes)))
			return err;
	return 0;
}

// Likewise.
static int check_data_sections(const struct file *f, const struct btf *btf)
{
	const __u32 types = btf__type_cnt(btf);
	__u32 i, k;

	for (i = 1; i < types; i++) {
		const struct btf_type *t = btf__type_by_id(btf, i), *other;

		for (k = 1; btf_is_datasec(t) && k < i; k++) {
			other = btf__type_by_id(btf, k);
			if (btf_is_datasec(other) &&
			    !strcmp(btf__name_by_offset(btf, t->name_off) ?: "",
				    btf__name_by_offset(btf, other->name_off) ?: ""))
				return refuse(f, "the object's BTF says twice what is in \"%.40s\"",
					      btf__name_by_offset(btf, t->name_off) ?: "");
		}
	}
	return 0;
}

static int read_btf(const struct file *f, unsigned int cpus, struct function_object *out)
{
	const Elf64_Shdr *section = section_find(f, ".BTF");
	struct btf *btf;
	int err;

	if (!section || section->sh_type != SHT_PROGBITS)
		return refuse(f, "the object has no BTF (clang -g)");
	btf = btf__new(f->bytes + section->sh_offset, (__u32)section->sh_size);
	if (!btf)
		return errno == ENOMEM ? -ENOMEM : refuse(f, "the object's BTF is malformed");
	err = check_data_sections(f, btf);
	if (!err)
		err = read_config(f, btf, out);
	if (!err)
		err = check_maps(f, btf, cpus);
	btf__free(btf);
	return err;
}

int object_read(const void *bytes, size_t size, unsigned int cpus, struct function_object *out,
		char why[OBJECT_WHY])
{
	// Of its own, aligned for the structures in it.
	auto_(freep) __u8 *copy = malloc(size ?: 1);
	struct file f = {.bytes = copy, .size = size, .why = why};
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, size);
	*out = (struct function_object){};
	if ((err = read_header(&f)) || (err = check_sections(&f)) ||
	    (err = check_symbols(&f, out)) || (err = check_instructions(&f)) ||
	    (err = read_manifest(&f, out)))
		return err;
	return read_btf(&f, cpus, out);
}
