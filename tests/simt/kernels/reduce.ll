; y[block] = sum of the block's 256 values of x: shuffles within warps, shared memory between them.
@partial = internal addrspace(3) global [8 x float] undef, align 4

define ptx_kernel void @reduce(ptr addrspace(1) %x, ptr addrspace(1) %y) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %n = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %base = mul i32 %b, %n
  %i = add i32 %base, %t
  %xp = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v0 = load float, ptr addrspace(1) %xp, align 4
  %s16 = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v0, i32 16, i32 31)
  %v16 = fadd float %v0, %s16
  %s8 = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v16, i32 8, i32 31)
  %v8 = fadd float %v16, %s8
  %s4 = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v8, i32 4, i32 31)
  %v4 = fadd float %v8, %s4
  %s2 = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v4, i32 2, i32 31)
  %v2 = fadd float %v4, %s2
  %s1 = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v2, i32 1, i32 31)
  %v1 = fadd float %v2, %s1
  %w = lshr i32 %t, 5
  %pp = getelementptr float, ptr addrspace(3) @partial, i32 %w
  %first = icmp eq i32 %lane, 0
  br i1 %first, label %put, label %meet

put:
  store float %v1, ptr addrspace(3) %pp, align 4
  br label %meet

meet:
  call void @llvm.nvvm.barrier0()
  %low = icmp ult i32 %t, 8
  br i1 %low, label %last, label %end

last:
  %lp = getelementptr float, ptr addrspace(3) @partial, i32 %t
  %p = load float, ptr addrspace(3) %lp, align 4
  %d4 = call float @llvm.nvvm.shfl.sync.down.f32(i32 255, float %p, i32 4, i32 6175)
  %q4 = fadd float %p, %d4
  %d2 = call float @llvm.nvvm.shfl.sync.down.f32(i32 255, float %q4, i32 2, i32 6175)
  %q2 = fadd float %q4, %d2
  %d1 = call float @llvm.nvvm.shfl.sync.down.f32(i32 255, float %q2, i32 1, i32 6175)
  %q1 = fadd float %q2, %d1
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %store, label %end

store:
  %yp = getelementptr float, ptr addrspace(1) %y, i32 %b
  store float %q1, ptr addrspace(1) %yp, align 4
  br label %end

end:
  ret void
}
