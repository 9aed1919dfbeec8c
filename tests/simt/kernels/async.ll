; Copies and products that run beside the threads.
@ring = internal addrspace(3) global [1024 x i8] undef, align 128
@full = internal addrspace(3) global [2 x i64] undef, align 8
@empty = internal addrspace(3) global [2 x i64] undef, align 8

define internal i32 @at(ptr addrspace(3) %p, i32 %i, i32 %bytes) alwaysinline {
  %o = mul i32 %i, %bytes
  %q = getelementptr i8, ptr addrspace(3) %p, i32 %o
  %a = ptrtoint ptr addrspace(3) %q to i32
  ret i32 %a
}

; Two stages of 512 bytes: thread 0 has them filled, threads 32 .. 63 turn them around, n times.
define ptx_kernel void @ring_of_two(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %n) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %init, label %meet

init:
  %f0 = call i32 @at(ptr addrspace(3) @full, i32 0, i32 8)
  %f1 = call i32 @at(ptr addrspace(3) @full, i32 1, i32 8)
  %e0 = call i32 @at(ptr addrspace(3) @empty, i32 0, i32 8)
  %e1 = call i32 @at(ptr addrspace(3) @empty, i32 1, i32 8)
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], 1;", "r,~{memory}"(i32 %f0)
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], 1;", "r,~{memory}"(i32 %f1)
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], 32;", "r,~{memory}"(i32 %e0)
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], 32;", "r,~{memory}"(i32 %e1)
  call void asm sideeffect "fence.mbarrier_init.release.cluster;", "~{memory}"()
  br label %meet

meet:
  call void @llvm.nvvm.barrier0()
  %consumes = icmp uge i32 %t, 32
  br i1 %consumes, label %consume, label %maybe

maybe:
  br i1 %zero, label %produce, label %end

produce:
  %k = phi i32 [ 0, %maybe ], [ %k1, %produce ]
  %s = and i32 %k, 1
  %h = lshr i32 %k, 1
  %p = and i32 %h, 1
  %q = xor i32 %p, 1
  %e = call i32 @at(ptr addrspace(3) @empty, i32 %s, i32 8)
  call void asm sideeffect "{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni D; bra.uni W; D: }", "r,r,~{memory}"(i32 %e, i32 %q) ; empty
  %f = call i32 @at(ptr addrspace(3) @full, i32 %s, i32 8)
  call void asm sideeffect "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], 512;", "r,~{memory}"(i32 %f)
  %d = call i32 @at(ptr addrspace(3) @ring, i32 %s, i32 512)
  %o = mul i32 %k, 512
  %g = getelementptr i8, ptr addrspace(1) %x, i32 %o
  call void asm sideeffect "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];", "r,l,r,r,~{memory}"(i32 %d, ptr addrspace(1) %g, i32 512, i32 %f)
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %n
  br i1 %more, label %produce, label %end

consume:
  %l = sub i32 %t, 32
  %back = sub i32 63, %t
  %bb = mul i32 %back, 16
  %lb = mul i32 %l, 16
  br label %take

take:
  %j = phi i32 [ 0, %consume ], [ %j1, %take ]
  %js = and i32 %j, 1
  %jh = lshr i32 %j, 1
  %jp = and i32 %jh, 1
  %jf = call i32 @at(ptr addrspace(3) @full, i32 %js, i32 8)
  call void asm sideeffect "{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni D; bra.uni W; D: }", "r,r,~{memory}"(i32 %jf, i32 %jp) ; full
  %je = call i32 @at(ptr addrspace(3) @empty, i32 %js, i32 8)
  ; early
  %jo = mul i32 %js, 512
  %ja = add i32 %jo, %bb
  %sp = getelementptr i8, ptr addrspace(3) @ring, i32 %ja
  %v = load <4 x i32>, ptr addrspace(3) %sp, align 16
  call void asm sideeffect "mbarrier.arrive.shared::cta.b64 _, [$0];", "r,~{memory}"(i32 %je) ; release
  %yo = mul i32 %j, 512
  %yb = add i32 %yo, %lb
  %yp = getelementptr i8, ptr addrspace(1) %y, i32 %yb
  store <4 x i32> %v, ptr addrspace(1) %yp, align 16
  %j1 = add i32 %j, 1
  %again = icmp ult i32 %j1, %n
  br i1 %again, label %take, label %end

end:
  ret void
}

; y = what a box of a map of two dimensions leaves in shared memory, 1024 bytes; 64 threads.
@box = internal addrspace(3) global [1024 x i8] undef, align 1024
define ptx_kernel void @box2(ptr byval([128 x i8]) align 64 %map, ptr addrspace(1) %y, i32 %c0, i32 %c1) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %f = call i32 @at(ptr addrspace(3) @full, i32 0, i32 8)
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %init, label %meet
init:
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], 1;", "r,~{memory}"(i32 %f)
  call void asm sideeffect "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], 1024;", "r,~{memory}"(i32 %f)
  %d = call i32 @at(ptr addrspace(3) @box, i32 0, i32 0)
  call void asm sideeffect "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [$0], [$1, {$2,$3}], [$4];", "r,l,r,r,r,~{memory}"(i32 %d, ptr %map, i32 %c0, i32 %c1, i32 %f)
  br label %meet
meet:
  call void @llvm.nvvm.barrier0()
  call void asm sideeffect "{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni D; bra.uni W; D: }", "r,r,~{memory}"(i32 %f, i32 0)
  %o = mul i32 %t, 16
  %s = getelementptr i8, ptr addrspace(3) @box, i32 %o
  %v = load <4 x i32>, ptr addrspace(3) %s, align 16
  %yp = getelementptr i8, ptr addrspace(1) %y, i32 %o
  store <4 x i32> %v, ptr addrspace(1) %yp, align 16
  ret void
}

; The same for im2col of n, h, w, c: pixels from n0, h0, w0, filter tap r, s.
define ptx_kernel void @im2col(ptr byval([128 x i8]) align 64 %map, ptr addrspace(1) %y, i32 %w0, i32 %h0, i32 %n0, i32 %s, i32 %r) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %f = call i32 @at(ptr addrspace(3) @full, i32 0, i32 8)
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %init, label %meet
init:
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], 1;", "r,~{memory}"(i32 %f)
  call void asm sideeffect "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], 1024;", "r,~{memory}"(i32 %f)
  %d = call i32 @at(ptr addrspace(3) @box, i32 0, i32 0)
  %s16 = trunc i32 %s to i16
  %r16 = trunc i32 %r to i16
  call void asm sideeffect "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [$0], [$1, {$2,$3,$4,$5}], [$6], {$7,$8};", "r,l,r,r,r,r,r,h,h,~{memory}"(i32 %d, ptr %map, i32 0, i32 %w0, i32 %h0, i32 %n0, i32 %f, i16 %s16, i16 %r16)
  br label %meet
meet:
  call void @llvm.nvvm.barrier0()
  call void asm sideeffect "{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni D; bra.uni W; D: }", "r,r,~{memory}"(i32 %f, i32 0)
  %o = mul i32 %t, 16
  %sp = getelementptr i8, ptr addrspace(3) @box, i32 %o
  %v = load <4 x i32>, ptr addrspace(3) %sp, align 16
  %yp = getelementptr i8, ptr addrspace(1) %y, i32 %o
  store <4 x i32> %v, ptr addrspace(1) %yp, align 16
  ret void
}

; One warp group: c (64 x 8, float) = a (64 x 64, bf16) * b^T (8 x 64, bf16), in two groups of two.
@am = internal addrspace(3) global [8192 x i8] undef, align 1024
@bm = internal addrspace(3) global [1024 x i8] undef, align 1024

define internal void @fill(ptr addrspace(3) %to, ptr addrspace(1) %from, i32 %i) alwaysinline {
  %r = lshr i32 %i, 3
  %c = and i32 %i, 7
  %r7 = and i32 %r, 7
  %x = xor i32 %c, %r7
  %rb = mul i32 %r, 128
  %xb = mul i32 %x, 16
  %so = add i32 %rb, %xb
  %sp = getelementptr i8, ptr addrspace(3) %to, i32 %so
  %go = mul i32 %i, 16
  %gp = getelementptr i8, ptr addrspace(1) %from, i32 %go
  %v = load <4 x i32>, ptr addrspace(1) %gp, align 16
  store <4 x i32> %v, ptr addrspace(3) %sp, align 16
  ret void
}

define internal i64 @descriptor(ptr addrspace(3) %p, i64 %step) alwaysinline {
  %a = ptrtoint ptr addrspace(3) %p to i64
  %m = and i64 %a, 262143
  %s = lshr i64 %m, 4
  %o = add i64 %s, %step
  %d = or i64 %o, 4611686293305360384 ; 1 << 62 | 64 << 32 | 1 << 16
  ret i64 %d
}

define internal { float, float, float, float } @multiply({ float, float, float, float } %c, i64 %step, i32 %add) alwaysinline {
  %a = call i64 @descriptor(ptr addrspace(3) @am, i64 %step)
  %b = call i64 @descriptor(ptr addrspace(3) @bm, i64 %step)
  %c0 = extractvalue { float, float, float, float } %c, 0
  %c1 = extractvalue { float, float, float, float } %c, 1
  %c2 = extractvalue { float, float, float, float } %c, 2
  %c3 = extractvalue { float, float, float, float } %c, 3
  %d = call { float, float, float, float } asm sideeffect "{ .reg .pred p; setp.ne.b32 p, $10, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {$0,$1,$2,$3}, $8, $9, p, 1, 1, 0, 0; }", "=f,=f,=f,=f,0,1,2,3,l,l,r"(float %c0, float %c1, float %c2, float %c3, i64 %a, i64 %b, i32 %add)
  ret { float, float, float, float } %d
}

define internal { float, float, float, float } @wait({ float, float, float, float } %c) alwaysinline {
  %c0 = extractvalue { float, float, float, float } %c, 0
  %c1 = extractvalue { float, float, float, float } %c, 1
  %c2 = extractvalue { float, float, float, float } %c, 2
  %c3 = extractvalue { float, float, float, float } %c, 3
  %d = call { float, float, float, float } asm sideeffect "wgmma.wait_group.sync.aligned 0;", "=f,=f,=f,=f,0,1,2,3,~{memory}"(float %c0, float %c1, float %c2, float %c3)
  ret { float, float, float, float } %d
}

define ptx_kernel void @warp_group(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %c) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  br label %load
load:
  %i = phi i32 [ %t, %entry ], [ %i1, %load ]
  call void @fill(ptr addrspace(3) @am, ptr addrspace(1) %a, i32 %i)
  %i1 = add i32 %i, 128
  %more = icmp ult i32 %i1, 512
  br i1 %more, label %load, label %loadb
loadb:
  %few = icmp ult i32 %t, 64
  br i1 %few, label %b8, label %go
b8:
  call void @fill(ptr addrspace(3) @bm, ptr addrspace(1) %b, i32 %t)
  br label %go
go:
  call void asm sideeffect "fence.proxy.async.shared::cta;", "~{memory}"()
  call void @llvm.nvvm.barrier0()
  call void asm sideeffect "wgmma.fence.sync.aligned;", "~{memory}"()
  %c0 = call { float, float, float, float } @multiply({ float, float, float, float } poison, i64 0, i32 0)
  %c1 = call { float, float, float, float } @multiply({ float, float, float, float } %c0, i64 2, i32 1)
  call void asm sideeffect "wgmma.commit_group.sync.aligned;", "~{memory}"()
  %c2 = call { float, float, float, float } @multiply({ float, float, float, float } %c1, i64 4, i32 1)
  %c3 = call { float, float, float, float } @multiply({ float, float, float, float } %c2, i64 6, i32 1)
  call void asm sideeffect "wgmma.commit_group.sync.aligned;", "~{memory}"()
  ; before
  %d = call { float, float, float, float } @wait({ float, float, float, float } %c3)
  ; after
  %w = lshr i32 %t, 5
  %l = and i32 %t, 31
  %g = lshr i32 %l, 2
  %q = and i32 %l, 3
  %w16 = mul i32 %w, 16
  %r = add i32 %w16, %g
  %r8 = mul i32 %r, 8
  %q2 = mul i32 %q, 2
  %o = add i32 %r8, %q2
  %p0 = getelementptr float, ptr addrspace(1) %c, i32 %o
  %p1 = getelementptr float, ptr addrspace(1) %p0, i32 1
  %p2 = getelementptr float, ptr addrspace(1) %p0, i32 64
  %p3 = getelementptr float, ptr addrspace(1) %p0, i32 65
  %d0 = extractvalue { float, float, float, float } %d, 0
  %d1 = extractvalue { float, float, float, float } %d, 1
  %d2 = extractvalue { float, float, float, float } %d, 2
  %d3 = extractvalue { float, float, float, float } %d, 3
  store float %d0, ptr addrspace(1) %p0, align 4
  store float %d1, ptr addrspace(1) %p1, align 4
  store float %d2, ptr addrspace(1) %p2, align 4
  store float %d3, ptr addrspace(1) %p3, align 4
  ret void
}

; One lane each of two warps reads a cell and arrives; thread 0 waits for `count` arrivals, and
; writes it.
@cell = internal addrspace(3) global [1 x i32] undef, align 4
define ptx_kernel void @hand_over(ptr addrspace(1) %y, i32 %count) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @at(ptr addrspace(3) @full, i32 0, i32 8)
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %init, label %meet
init:
  store i32 5, ptr addrspace(3) @cell, align 4
  call void asm sideeffect "mbarrier.init.shared::cta.b64 [$0], $1;", "r,r,~{memory}"(i32 %b, i32 %count)
  br label %meet
meet:
  call void @llvm.nvvm.barrier0()
  br i1 %zero, label %write, label %maybe
maybe:
  %l = and i32 %t, 31
  %lead = icmp eq i32 %l, 0
  br i1 %lead, label %read, label %end
read:
  %v = load i32, ptr addrspace(3) @cell, align 4
  call void asm sideeffect "mbarrier.arrive.shared::cta.b64 _, [$0];", "r,~{memory}"(i32 %b)
  %p = getelementptr i32, ptr addrspace(1) %y, i32 %t
  store i32 %v, ptr addrspace(1) %p, align 4
  br label %end
write:
  call void asm sideeffect "{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni D; bra.uni W; D: }", "r,r,~{memory}"(i32 %b, i32 0)
  store i32 6, ptr addrspace(3) @cell, align 4
  br label %end
end:
  ret void
}
