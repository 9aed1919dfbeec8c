/* Between blocks: wgmma.c. */
#ifndef SIMT_WGMMA_H
#define SIMT_WGMMA_H

void wgmma_reset(void);
void wgmma_end(void);

#endif
