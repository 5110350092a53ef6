import{a as e,c as t,n,r,s as i}from"./index.js";function a(e,t,...n){try{if(n.every(e=>e!==void 0)){let r=e[t];if(typeof r==`function`)return r(...n)}}catch(e){console.error(e)}}var o=2;function s(e){return{clientX:e.clientX,clientY:e.clientY,pageX:e.pageX,pageY:e.pageY,modifiers:{shift:e.shiftKey,ctrl:e.ctrlKey,alt:e.altKey,meta:e.metaKey}}}function c(e,t){let n=t,r,i=!1,c=!1,u=e=>{let t=s(e);e.preventDefault(),e.stopPropagation(),l(),i=!0,r&&=(a(r,`up`),void 0);let c=e=>{let i=s(e);n.drag&&!r?Math.hypot(t.clientX-i.clientX,t.clientY-i.clientY)>o&&(r=a(n,`drag`,t),r&&a(r,`move`,i)):r&&a(r,`move`,i)},u=e=>{let t=s(e);i=!1,window.removeEventListener(`mousemove`,c),window.removeEventListener(`mouseup`,u),r?(a(r,`up`,e),r=void 0):n.click&&a(n,`click`,t)};window.addEventListener(`mousemove`,c,{passive:!0}),window.addEventListener(`mouseup`,u,{passive:!0})},d=e=>{i||n.hover&&(a(n,`hover`,s(e)),c=!0)},f=e=>{c&&n.hover&&(a(n,`hover`,null),c=!1)};return e.addEventListener(`mousedown`,u,{passive:!1}),e.addEventListener(`mousemove`,d,{passive:!0}),e.addEventListener(`mouseleave`,f,{passive:!0}),{update:e=>{n=e},destroy:()=>{e.removeEventListener(`mousedown`,u),e.removeEventListener(`mousemove`,d),e.removeEventListener(`mouseleave`,f)}}}function l(){try{document.activeElement&&document.activeElement!==document.body&&document.activeElement.blur?.()}catch{}}var u=Object.create,d=Object.defineProperty,f=Object.getOwnPropertyDescriptor,p=Object.getOwnPropertyNames,m=Object.getPrototypeOf,h=Object.prototype.hasOwnProperty,g=(e,t)=>()=>(t||(e((t={exports:{}}).exports,t),e=null),t.exports),_=(e,t,n,r)=>{if(t&&typeof t==`object`||typeof t==`function`)for(var i=p(t),a=0,o=i.length,s;a<o;a++)s=i[a],!h.call(e,s)&&s!==n&&d(e,s,{get:(e=>t[e]).bind(null,s),enumerable:!(r=f(t,s))||r.enumerable});return e},v=(e,t,n)=>(n=e==null?{}:u(m(e)),_(t||!e||!e.__esModule?d(n,`default`,{value:e,enumerable:!0}):n,e));function y(){return navigator.gpu!=null&&navigator.gpu.requestAdapter!=null&&navigator.gpu.wgslLanguageFeatures!=null}async function b(){if(!y())return null;let e=await navigator.gpu.requestAdapter();if(!e)return console.error(`Could not request WebGPU adapter`),null;let t=[{requiredLimits:{maxBufferSize:e.limits.maxBufferSize,maxStorageBufferBindingSize:e.limits.maxStorageBufferBindingSize},requiredFeatures:[`shader-f16`]},...[512,256,128,64,32].map(t=>({requiredLimits:{maxBufferSize:Math.min(t*1048576,e.limits.maxBufferSize),maxStorageBufferBindingSize:Math.min(t*1048576,e.limits.maxStorageBufferBindingSize)},requiredFeatures:[`shader-f16`]}))];for(let n of t)try{return await e.requestDevice(n)}catch(e){console.error(e);continue}return null}function x(e){return e==0&&(e=4),e%4!=0&&(e+=4-e%4),e}function S(e,t,n,r){return(e.buffer==null||e.byteSize!=n||e.usage!=r)&&(e.buffer!=null&&e.buffer.destroy(),e.buffer=t.createBuffer({size:x(n),usage:r}),e.byteSize=n,e.destroy=()=>{e.buffer?.destroy()}),e.buffer}function C(e,t,n,r){if(e.buffer!==n||e.data!==r){if(r!=null){if(r.byteLength%4!=0){let e=r.byteLength-r.byteLength%4;if(t.queue.writeBuffer(n,0,r,0,e),r instanceof Uint8Array){let i=new Uint8Array(4);for(let t=0;t<4;t++)e+t<r.length&&(i[t]=r[e+t]);t.queue.writeBuffer(n,e,i)}}else t.queue.writeBuffer(n,0,r,0)}else t.queue.writeBuffer(n,0,new ArrayBuffer(n.size));e.buffer=n,e.data=r}return n}function w(e,t,n,r,i,a){return(e.texture==null||e.width!=n||e.height!=r||e.format!=i||e.usage!=a)&&(e.texture!=null&&e.texture.destroy(),e.texture=t.createTexture({size:[n,r],format:i,usage:a}),e.destroy=()=>{e.texture?.destroy()}),e.texture}var T=1024,ee=2048,te=4096,ne=8192,re=16384,ie=32768,ae=1<<25,oe=65536,se=1<<19,ce=1<<20,le=1<<25,ue=65536,de=1<<21,fe=1<<22,pe=1<<23,E=Symbol(`$state`),me=Symbol(`legacy props`),he=Symbol(``),ge=Symbol(`attributes`),_e=Symbol(`class`),ve=Symbol(`style`),ye=Symbol(`text`),be=new class extends Error{name=`StaleReactionError`;message="The reaction that called `getAbortSignal()` was re-run or destroyed"},D=!!globalThis.document?.contentType&&globalThis.document.contentType.includes(`xml`),O=Array.isArray,xe=Array.prototype.indexOf,Se=Array.prototype.includes,Ce=Array.from,we=Object.defineProperty,Te=Object.getOwnPropertyDescriptor,Ee=Object.getOwnPropertyDescriptors,De=Object.prototype,Oe=Array.prototype,ke=Object.getPrototypeOf,Ae=Object.isExtensible,je=()=>{};function Me(e){for(var t=0;t<e.length;t++)e[t]()}function Ne(){var e,t;return{promise:new Promise((n,r)=>{e=n,t=r}),resolve:e,reject:t}}function Pe(e){return e===this.v}function Fe(e,t){return e==e?e!==t||typeof e==`object`&&!!e||typeof e==`function`:t==t}function Ie(e){return!Fe(e,this.v)}function Le(e){throw Error(`https://svelte.dev/e/lifecycle_outside_component`)}function Re(){throw Error(`https://svelte.dev/e/async_derived_orphan`)}function ze(e,t,n){throw Error(`https://svelte.dev/e/each_key_duplicate`)}function Be(e){throw Error(`https://svelte.dev/e/effect_in_teardown`)}function Ve(){throw Error(`https://svelte.dev/e/effect_in_unowned_derived`)}function He(e){throw Error(`https://svelte.dev/e/effect_orphan`)}function Ue(){throw Error(`https://svelte.dev/e/effect_update_depth_exceeded`)}function We(){throw Error(`https://svelte.dev/e/hydration_failed`)}function Ge(e){throw Error(`https://svelte.dev/e/props_invalid_value`)}function Ke(){throw Error(`https://svelte.dev/e/state_descriptors_fixed`)}function qe(){throw Error(`https://svelte.dev/e/state_prototype_fixed`)}function Je(){throw Error(`https://svelte.dev/e/state_unsafe_mutation`)}function Ye(){throw Error(`https://svelte.dev/e/svelte_boundary_reset_onerror`)}var Xe={},k=Symbol(`uninitialized`),Ze=`http://www.w3.org/1999/xhtml`,A=null;function Qe(e){A=e}function $e(e,t=!1,n){A={p:A,i:!1,c:null,e:null,s:e,x:null,r:W,l:null}}function et(e){var t=A,n=t.e;if(n!==null){t.e=null;for(var r of n)sr(r)}return e!==void 0&&(t.x=e),t.i=!0,A=t.p,e??{}}function tt(){return!0}var nt=[];function rt(){var e=nt;nt=[],Me(e)}function j(e){if(nt.length===0&&!zt){var t=nt;queueMicrotask(()=>{t===nt&&rt()})}nt.push(e)}function it(){for(;nt.length>0;)rt()}function at(){console.warn(`https://svelte.dev/e/derived_inert`)}function ot(e){console.warn(`https://svelte.dev/e/hydration_mismatch`)}function st(){console.warn(`https://svelte.dev/e/svelte_boundary_reset_noop`)}var M=!1;function ct(e){M=e}var N;function P(e){if(e===null)throw ot(),Xe;return N=e}function lt(){return P(xt(N))}function F(e){if(M){if(xt(N)!==null)throw ot(),Xe;N=e}}function ut(e=1){if(M){for(var t=e,n=N;t--;)n=xt(n);N=n}}function dt(e=!0){for(var t=0,n=N;;){if(n.nodeType===8){var r=n.data;if(r===`]`){if(t===0)return n;--t}else(r===`[`||r===`[!`||r[0]===`[`&&!isNaN(Number(r.slice(1))))&&(t+=1)}var i=xt(n);e&&n.remove(),n=i}}function ft(e){if(!e||e.nodeType!==8)throw ot(),Xe;return e.data}function pt(e){if(typeof e!=`object`||!e||E in e)return e;let t=ke(e);if(t!==De&&t!==Oe)return e;var n=new Map,r=O(e),i=V(0),a=null,o=Vn,s=e=>{if(Vn===o)return e();var t=U,n=Vn;Mn(null),Hn(o);var r=e();return Mn(t),Hn(n),r};return r&&n.set(`length`,V(e.length,a)),new Proxy(e,{defineProperty(e,t,r){`value`in r&&r.configurable!==!1&&r.enumerable!==!1&&r.writable!==!1||Ke();var i=n.get(t);return i===void 0?s(()=>{var e=V(r.value,a);return n.set(t,e),e}):H(i,r.value,!0),!0},deleteProperty(e,t){var r=n.get(t);if(r===void 0){if(t in e){let e=s(()=>V(k,a));n.set(t,e),wn(i)}}else H(r,k),wn(i);return!0},get(t,r,i){if(r===E)return e;var o=n.get(r),c=r in t;if(o===void 0&&(!c||Te(t,r)?.writable)&&(o=s(()=>V(pt(c?t[r]:k),a)),n.set(r,o)),o!==void 0){var l=K(o);return l===k?void 0:l}return Reflect.get(t,r,i)},getOwnPropertyDescriptor(e,t){var r=Reflect.getOwnPropertyDescriptor(e,t);if(r&&`value`in r){var i=n.get(t);i&&(r.value=K(i))}else if(r===void 0){var a=n.get(t),o=a?.v;if(a!==void 0&&o!==k)return{enumerable:!0,configurable:!0,value:o,writable:!0}}return r},has(e,t){if(t===E)return!0;var r=n.get(t),i=r!==void 0&&r.v!==k||Reflect.has(e,t);return(r!==void 0||W!==null&&(!i||Te(e,t)?.writable))&&(r===void 0&&(r=s(()=>V(i?pt(e[t]):k,a)),n.set(t,r)),K(r)===k)?!1:i},set(e,t,o,c){var l=n.get(t),u=t in e;if(r&&t===`length`)for(var d=o;d<l.v;d+=1){var f=n.get(d+``);f===void 0?d in e&&(f=s(()=>V(k,a)),n.set(d+``,f)):H(f,k)}if(l===void 0)(!u||Te(e,t)?.writable)&&(l=s(()=>V(void 0,a)),H(l,pt(o)),n.set(t,l));else{u=l.v!==k;var p=s(()=>pt(o));H(l,p)}var m=Reflect.getOwnPropertyDescriptor(e,t);if(m?.set&&m.set.call(c,o),!u){if(r&&typeof t==`string`){var h=n.get(`length`),g=Number(t);Number.isInteger(g)&&g>=h.v&&H(h,g+1)}wn(i)}return!0},ownKeys(e){K(i);var t=Reflect.ownKeys(e).filter(e=>{var t=n.get(e);return t===void 0||t.v!==k});for(var[r,a]of n)a.v!==k&&!(r in e)&&t.push(r);return t},setPrototypeOf(){qe()}})}var mt,ht,gt,_t;function vt(){if(mt===void 0){mt=window,ht=/Firefox/.test(navigator.userAgent);var e=Element.prototype,t=Node.prototype,n=Text.prototype;gt=Te(t,`firstChild`).get,_t=Te(t,`nextSibling`).get,Ae(e)&&(e[_e]=void 0,e[ge]=null,e[ve]=void 0,e.__e=void 0),Ae(n)&&(n[ye]=void 0)}}function yt(e=``){return document.createTextNode(e)}function bt(e){return gt.call(e)}function xt(e){return _t.call(e)}function I(e,t){if(!M)return bt(e);var n=bt(N);if(n===null)n=N.appendChild(yt());else if(t&&n.nodeType!==3){var r=yt();return n?.before(r),P(r),r}return t&&Et(n),P(n),n}function St(e,t=!1){if(!M){var n=bt(e);return n instanceof Comment&&n.data===``?xt(n):n}if(t){if(N?.nodeType!==3){var r=yt();return N?.before(r),P(r),r}Et(N)}return N}function L(e,t=1,n=!1){let r=M?N:e;for(var i;t--;)i=r,r=xt(r);if(!M)return r;if(n){if(r?.nodeType!==3){var a=yt();return r===null?i?.after(a):r.before(a),P(a),a}Et(r)}return P(r),r}function Ct(e){e.textContent=``}function wt(){return!1}function Tt(e,t,n){return t==null||t===`http://www.w3.org/1999/xhtml`?n?document.createElement(e,{is:n}):document.createElement(e):n?document.createElementNS(t,e,{is:n}):document.createElementNS(t,e)}function Et(e){if(e.nodeValue.length<65536)return;let t=e.nextSibling;for(;t!==null&&t.nodeType===3;)t.remove(),e.nodeValue+=t.nodeValue,t=e.nextSibling}function Dt(e){var t=W;if(t===null)return U.f|=pe,e;if(!(t.f&32768)&&!(t.f&4))throw e;Ot(e,t)}function Ot(e,t){for(;t!==null;){if(t.f&128){if(!(t.f&32768))throw e;try{t.b.error(e);return}catch(t){e=t}}t=t.parent}throw e}var kt=~(ee|te|T);function R(e,t){e.f=e.f&kt|t}function At(e){e.f&512||e.deps===null?R(e,T):R(e,te)}function jt(e){if(e!==null)for(let t of e)!(t.f&2)||!(t.f&65536)||(t.f^=ue,jt(t.deps))}function Mt(e,t,n){e.f&2048?t.add(e):e.f&4096&&n.add(e),jt(e.deps),R(e,T)}var Nt=!1;function Pt(e){var t=Nt;try{return Nt=!1,[e(),Nt]}finally{Nt=t}}var Ft=null,z=null,It=null,Lt=null,Rt=null,zt=!1,Bt=!1,Vt=null,Ht=null,Ut=0,Wt=1,Gt=class e{id=Wt++;#e=!1;linked=!0;#t=null;#n=null;async_deriveds=new Map;current=new Map;previous=new Map;#r=new Set;#i=new Set;#a=0;#o=new Map;#s=null;#c=[];#l=[];#u=new Set;#d=new Set;#f=new Map;#p=new Set;is_fork=!1;#m=!1;constructor(){Ft===null?Ft=this:(Ft.#n=this,this.#t=Ft),Ft=this}#h(){if(this.is_fork)return!0;for(let n of this.#o.keys()){for(var e=n,t=!1;e.parent!==null;){if(this.#f.has(e)){t=!0;break}e=e.parent}if(!t)return!0}return!1}skip_effect(e){this.#f.has(e)||this.#f.set(e,{d:[],m:[]}),this.#p.delete(e)}unskip_effect(e,t=e=>this.schedule(e)){var n=this.#f.get(e);if(n){this.#f.delete(e);for(var r of n.d)R(r,ee),t(r);for(r of n.m)R(r,te),t(r)}this.#p.add(e)}#g(){this.#e=!0,Ut++>1e3&&(this.#x(),qt());for(let e of this.#u)this.#d.delete(e),R(e,ee),this.schedule(e);for(let e of this.#d)R(e,te),this.schedule(e);let t=this.#c;this.#c=[],this.apply();var n=Vt=[],r=[],i=Ht=[];for(let e of t)try{this.#_(e,n,r)}catch(t){throw Qt(e),this.#h()||this.discard(),t}if(z=null,i.length>0){var a=e.ensure();for(let e of i)a.schedule(e)}if(Vt=null,Ht=null,this.#h()){this.#b(r),this.#b(n);for(let[e,t]of this.#f)Zt(e,t);i.length>0&&z.#g();return}let o=this.#v();if(o)this.#b(r),this.#b(n),o.#y(this);else{this.#u.clear(),this.#d.clear();for(let e of this.#r)e(this);this.#r.clear(),It=this,Yt(r),Yt(n),It=null,this.#s?.resolve();var s=z;if(this.#a===0&&(this.#c.length===0||s!==null)&&this.#x(),this.#c.length>0){if(s!==null){let e=s;e.#c.push(...this.#c.filter(t=>!e.#c.includes(t)))}else s=this}s!==null&&s.#g()}}#_(e,t,n){e.f^=T;for(var r=e.first;r!==null;){var i=r.f,a=!!(i&96);if(!(a&&i&1024||i&8192||this.#f.has(r))&&r.fn!==null){a?r.f^=T:i&4?t.push(r):Wn(r)&&(i&16&&this.#d.add(r),Yn(r));var o=r.first;if(o!==null){r=o;continue}}for(;r!==null;){var s=r.next;if(s!==null){r=s;break}r=r.parent}}}#v(){for(var e=this.#t;e!==null;){if(!e.is_fork){for(let[t,[,n]]of this.current)if(e.current.has(t)&&!n)return e}e=e.#t}return null}#y(e){for(let[t,n]of e.current)!this.previous.has(t)&&e.previous.has(t)&&this.previous.set(t,e.previous.get(t)),this.current.set(t,n);for(let[t,n]of e.async_deriveds){let e=this.async_deriveds.get(t);e&&n.promise.then(e.resolve).catch(e.reject)}this.transfer_effects(e.#u,e.#d);let t=e=>{var n=e.reactions;if(n!==null)for(let e of n){var r=e.f;if(r&2)t(e);else{var i=e;r&4194320&&!this.async_deriveds.has(i)&&(this.#d.delete(i),R(i,ee),this.schedule(i))}}};for(let e of this.current.keys())t(e);this.oncommit(()=>e.discard()),e.#x(),z=this,this.#g()}#b(e){for(var t=0;t<e.length;t+=1)Mt(e[t],this.#u,this.#d)}capture(e,t,n=!1){e.v!==k&&!this.previous.has(e)&&this.previous.set(e,e.v),e.f&8388608||(this.current.set(e,[t,n]),Lt?.set(e,t)),this.is_fork||(e.v=t)}activate(){z=this}deactivate(){z=null,Lt=null}flush(){try{Bt=!0,z=this,this.#g()}finally{Ut=0,Rt=null,Vt=null,Ht=null,Bt=!1,z=null,Lt=null,vn.clear()}}discard(){for(let e of this.#i)e(this);this.#i.clear(),this.#x(),this.#s?.resolve()}register_created_effect(e){this.#l.push(e)}increment(e,t){if(this.#a+=1,e){let e=this.#o.get(t)??0;this.#o.set(t,e+1)}}decrement(e,t){if(--this.#a,e){let e=this.#o.get(t)??0;e===1?this.#o.delete(t):this.#o.set(t,e-1)}this.#m||(this.#m=!0,j(()=>{this.#m=!1,this.linked&&this.flush()}))}transfer_effects(e,t){for(let t of e)this.#u.add(t);for(let e of t)this.#d.add(e);e.clear(),t.clear()}oncommit(e){this.#r.add(e)}ondiscard(e){this.#i.add(e)}settled(){return(this.#s??=Ne()).promise}static ensure(){if(z===null){let t=z=new e;!Bt&&!zt&&j(()=>{t.#e||t.flush()})}return z}apply(){Lt=null}schedule(e){if(Rt=e,e.b?.is_pending&&e.f&16777228&&!(e.f&32768))e.b.defer_effect(e);else{for(var t=e;t.parent!==null;){t=t.parent;var n=t.f;if(Vt!==null&&t===W&&(U===null||!(U.f&2)))return;if(n&96){if(!(n&1024))return;t.f^=T}}this.#c.push(t)}}#x(){if(this.linked){var e=this.#t,t=this.#n;e===null||(e.#n=t),t===null?Ft=e:t.#t=e,this.linked=!1}}};function Kt(e){var t=zt;zt=!0;try{var n;for(e&&(z!==null&&!z.is_fork&&z.flush(),n=e());;){if(it(),z===null)return n;z.flush()}}finally{zt=t}}function qt(){try{Ue()}catch(e){Ot(e,Rt)}}var Jt=null;function Yt(e){var t=e.length;if(t!==0){for(var n=0;n<t;){var r=e[n++];if(!(r.f&24576)&&Wn(r)&&(Jt=new Set,Yn(r),r.deps===null&&r.first===null&&r.nodes===null&&r.teardown===null&&r.ac===null&&yr(r),Jt?.size>0)){vn.clear();for(let e of Jt){if(e.f&24576)continue;let t=[e],n=e.parent;for(;n!==null;)Jt.has(n)&&(Jt.delete(n),t.push(n)),n=n.parent;for(let e=t.length-1;e>=0;e--){let n=t[e];n.f&24576||Yn(n)}}Jt.clear()}}Jt=null}}function Xt(e){z.schedule(e)}function Zt(e,t){if(!(e.f&32&&e.f&1024)){e.f&2048?t.d.push(e):e.f&4096&&t.m.push(e),R(e,T);for(var n=e.first;n!==null;)Zt(n,t),n=n.next}}function Qt(e){R(e,T);for(var t=e.first;t!==null;)Qt(t),t=t.next}function $t(e){let t=0,n=bn(0),r;return()=>{ir()&&(K(n),fr(()=>(t===0&&(r=Qn(()=>e(()=>wn(n)))),t+=1,()=>{j(()=>{--t,t===0&&(r?.(),r=void 0,wn(n))})})))}}var en=oe|se;function tn(e,t,n,r){new nn(e,t,n,r)}var nn=class{parent;is_pending=!1;transform_error;#e;#t=M?N:null;#n;#r;#i;#a=null;#o=null;#s=null;#c=null;#l=0;#u=0;#d=!1;#f=new Set;#p=new Set;#m=null;#h=$t(()=>(this.#m=bn(this.#l),()=>{this.#m=null}));constructor(e,t,n,r){this.#e=e,this.#n=t,this.#r=e=>{var t=W;t.b=this,t.f|=128,n(e)},this.parent=W.b,this.transform_error=r??this.parent?.transform_error??(e=>e),this.#i=pr(()=>{if(M){let e=this.#t;lt();let t=e.data===`[!`;if(e.data.startsWith(`[?`)){let t=JSON.parse(e.data.slice(2));this.#_(t)}else t?this.#v():this.#g()}else this.#y()},en),M&&(this.#e=N)}#g(){try{this.#a=mr(()=>this.#r(this.#e))}catch(e){this.error(e)}}#_(e){let t=this.#n.failed;t&&(this.#s=mr(()=>{t(this.#e,()=>e,()=>()=>{})}))}#v(){let e=this.#n.pending;e&&(this.is_pending=!0,this.#o=mr(()=>e(this.#e)),j(()=>{var e=this.#c=document.createDocumentFragment(),t=yt();e.append(t),this.#a=this.#x(()=>mr(()=>this.#r(t))),this.#u===0&&(this.#e.before(e),this.#c=null,br(this.#o,()=>{this.#o=null}),this.#b(z))}))}#y(){try{if(this.is_pending=this.has_pending_snippet(),this.#u=0,this.#l=0,this.#a=mr(()=>{this.#r(this.#e)}),this.#u>0){var e=this.#c=document.createDocumentFragment();wr(this.#a,e);let t=this.#n.pending;this.#o=mr(()=>t(this.#e))}else this.#b(z)}catch(e){this.error(e)}}#b(e){this.is_pending=!1,e.transfer_effects(this.#f,this.#p)}defer_effect(e){Mt(e,this.#f,this.#p)}is_rendered(){return!this.is_pending&&(!this.parent||this.parent.is_rendered())}has_pending_snippet(){return!!this.#n.pending}#x(e){var t=W,n=U,r=A;Nn(this.#i),Mn(this.#i),Qe(this.#i.ctx);try{return Gt.ensure(),e()}catch(e){return Dt(e),null}finally{Nn(t),Mn(n),Qe(r)}}#S(e,t){this.has_pending_snippet()?(this.#u+=e,this.#u===0&&(this.#b(t),this.#o&&br(this.#o,()=>{this.#o=null}),this.#c&&=(this.#e.before(this.#c),null))):this.parent&&this.parent.#S(e,t)}update_pending_count(e,t){this.#S(e,t),this.#l+=e,!(!this.#m||this.#d)&&(this.#d=!0,j(()=>{this.#d=!1,this.#m&&Sn(this.#m,this.#l)}))}get_effect_pending(){return this.#h(),K(this.#m)}error(e){if(!this.#n.onerror&&!this.#n.failed)throw e;z?.is_fork?(this.#a&&z.skip_effect(this.#a),this.#o&&z.skip_effect(this.#o),this.#s&&z.skip_effect(this.#s),z.oncommit(()=>{this.#C(e)})):this.#C(e)}#C(e){this.#a&&=(J(this.#a),null),this.#o&&=(J(this.#o),null),this.#s&&=(J(this.#s),null),M&&(P(this.#t),ut(),P(dt()));var t=this.#n.onerror;let n=this.#n.failed;var r=!1,i=!1;let a=()=>{r?st():(r=!0,i&&Ye(),this.#s!==null&&br(this.#s,()=>{this.#s=null}),this.#x(()=>{this.#y()}))},o=e=>{try{i=!0,t?.(e,a),i=!1}catch(e){Ot(e,this.#i&&this.#i.parent)}n&&(this.#s=this.#x(()=>{try{return mr(()=>{var t=W;t.b=this,t.f|=128,n(this.#e,()=>e,()=>a)})}catch(e){return Ot(e,this.#i.parent),null}}))};j(()=>{var t;try{t=this.transform_error(e)}catch(e){Ot(e,this.#i&&this.#i.parent);return}typeof t==`object`&&t&&typeof t.then==`function`?t.then(o,e=>Ot(e,this.#i&&this.#i.parent)):o(t)})}};function rn(e,t,n,r){let i=tt()?cn:dn;var a=e.filter(e=>!e.settled);if(n.length===0&&a.length===0){r(t.map(i));return}var o=W,s=an(),c=a.length===1?a[0].promise:a.length>1?Promise.all(a.map(e=>e.promise)):null;function l(e){if(!(o.f&16384)){s();try{r(e)}catch(e){Ot(e,o)}on()}}var u=sn();if(n.length===0){c.then(()=>l(t.map(i))).finally(u);return}function d(){Promise.all(n.map(e=>un(e))).then(e=>l([...t.map(i),...e])).catch(e=>Ot(e,o)).finally(u)}c?c.then(()=>{s(),d(),on()}):d()}function an(){var e=W,t=U,n=A,r=z;return function(i=!0){Nn(e),Mn(t),Qe(n),i&&!(e.f&16384)&&(r?.activate(),r?.apply())}}function on(e=!0){Nn(null),Mn(null),Qe(null),e&&z?.deactivate()}function sn(){var e=W,t=e.b,n=z,r=!!t?.is_rendered();return t?.update_pending_count(1,n),n.increment(r,e),()=>{t?.update_pending_count(-1,n),n.decrement(r,e)}}function cn(e){var t=2|ee;return W!==null&&(W.f|=se),{ctx:A,deps:null,effects:null,equals:Pe,f:t,fn:e,reactions:null,rv:0,v:k,wv:0,parent:W,ac:null}}var ln=Symbol(`obsolete`);function un(e,t,n){let r=W;r===null&&Re();var i=void 0,a=bn(k),o=!U,s=new Set;return dr(()=>{var t=W,n=Ne();i=n.promise;try{Promise.resolve(e()).then(n.resolve,e=>{e!==be&&n.reject(e)}).finally(on)}catch(e){n.reject(e),on()}var c=z;if(o){if(t.f&32768)var l=sn();if(r.b?.is_rendered())c.async_deriveds.get(t)?.reject(ln);else for(let e of s.values())e.reject(ln);s.add(n),c.async_deriveds.set(t,n)}let u=(e,t=void 0)=>{l?.(),s.delete(n),t!==ln&&(c.activate(),t?(a.f|=pe,Sn(a,t)):(a.f&8388608&&(a.f^=pe),Sn(a,e)),c.deactivate())};n.promise.then(u,e=>u(null,e||`unknown`))}),ar(()=>{for(let e of s)e.reject(ln)}),new Promise(e=>{function t(n){function r(){n===i?e(a):t(i)}n.then(r,r)}t(i)})}function B(e){let t=cn(e);return Fn(t),t}function dn(e){let t=cn(e);return t.equals=Ie,t}function fn(e){var t=e.effects;if(t!==null){e.effects=null;for(var n=0;n<t.length;n+=1)J(t[n])}}function pn(e){var t,n=W,r=e.parent;if(!kn&&r!==null&&e.v!==k&&r.f&24576)return at(),e.v;Nn(r);try{e.f&=~ue,fn(e),t=Kn(e)}finally{Nn(n)}return t}function mn(e){var t=pn(e);!e.equals(t)&&(e.wv=Un(),(!z?.is_fork||e.deps===null)&&(z===null?e.v=t:(z.capture(e,t,!0),It?.capture(e,t,!0)),e.deps===null))?R(e,T):kn||(Lt===null?At(e):(ir()||z?.is_fork)&&Lt.set(e,t))}function hn(e){if(e.effects!==null)for(let t of e.effects)(t.teardown||t.ac)&&(t.teardown?.(),t.ac?.abort(be),t.fn!==null&&(t.teardown=je),t.ac=null,Jn(t,0),gr(t))}function gn(e){if(e.effects!==null)for(let t of e.effects)t.teardown&&t.fn!==null&&Yn(t)}var _n=new Set,vn=new Map,yn=!1;function bn(e,t){return{f:0,v:e,reactions:null,equals:Pe,rv:0,wv:0}}function V(e,t){let n=bn(e,t);return Fn(n),n}function xn(e,t=!1,n=!0){let r=bn(e);return t||(r.equals=Ie),r}function H(e,t,n=!1){return U!==null&&(!jn||U.f&131072)&&tt()&&U.f&4325394&&(Pn===null||!Pn.has(e))&&Je(),Sn(e,n?pt(t):t,Ht)}function Sn(e,t,n=null){if(!e.equals(t)){vn.set(e,kn?t:e.v);var r=Gt.ensure();if(r.capture(e,t),e.f&2){let t=e;e.f&2048&&pn(t),Lt===null&&At(t)}e.wv=Un(),Tn(e,ee,n),tt()&&W!==null&&W.f&1024&&!(W.f&96)&&(Ln===null?Rn([e]):Ln.push(e)),!r.is_fork&&_n.size>0&&!yn&&Cn()}return t}function Cn(){yn=!1;for(let e of _n){e.f&1024&&R(e,te);let t;try{t=Wn(e)}catch{t=!0}t&&Yn(e)}_n.clear()}function wn(e){H(e,e.v+1)}function Tn(e,t,n){var r=e.reactions;if(r!==null)for(var i=tt(),a=r.length,o=0;o<a;o++){var s=r[o],c=s.f;if(i||s!==W){var l=(c&ee)===0;if(l&&R(s,t),c&131072)_n.add(s);else if(c&2){var u=s;Lt?.delete(u),c&65536||(c&512&&(W===null||!(W.f&2097152))&&(s.f|=ue),Tn(u,te,n))}else if(l){var d=s;c&16&&Jt!==null&&Jt.add(d),n===null?Xt(d):n.push(d)}}}}var En=null;function Dn(e){var t=U,n=W;Mn(null),Nn(null);try{return e()}finally{Mn(t),Nn(n)}}var On=!1,kn=!1;function An(e){kn=e}var U=null,jn=!1;function Mn(e){U=e}var W=null;function Nn(e){W=e}var Pn=null;function Fn(e){U!==null&&(Pn??=new Set).add(e)}var G=null,In=0,Ln=null;function Rn(e){Ln=e}var zn=1,Bn=0,Vn=Bn;function Hn(e){Vn=e}function Un(){return++zn}function Wn(e){var t=e.f;if(t&2048)return!0;if(t&2&&(e.f&=~ue),t&4096){for(var n=e.deps,r=n.length,i=0;i<r;i++){var a=n[i];if(Wn(a)&&mn(a),a.wv>e.wv)return!0}t&512&&Lt===null&&R(e,T)}return!1}function Gn(e,t,n=!0){var r=e.reactions;if(r!==null&&!(Pn!==null&&Pn.has(e)))for(var i=0;i<r.length;i++){var a=r[i];a.f&2?Gn(a,t,!1):t===a&&(n?R(a,ee):a.f&1024&&R(a,te),Xt(a))}}function Kn(e){var t=G,n=In,r=Ln,i=U,a=Pn,o=A,s=jn,c=Vn,l=e.f;G=null,In=0,Ln=null,U=l&96?null:e,Pn=null,Qe(e.ctx),jn=!1,Vn=++Bn,e.ac!==null&&(Dn(()=>{e.ac.abort(be)}),e.ac=null);try{e.f|=de;var u=e.fn,d=u();e.f|=ie;var f=e.deps,p=z?.is_fork;if(G!==null){var m;if(p||Jn(e,In),f!==null&&In>0)for(f.length=In+G.length,m=0;m<G.length;m++)f[In+m]=G[m];else e.deps=f=G;if(ir()&&e.f&512)for(m=In;m<f.length;m++)(f[m].reactions??=[]).push(e)}else!p&&f!==null&&In<f.length&&(Jn(e,In),f.length=In);if(tt()&&Ln!==null&&!jn&&f!==null&&!(e.f&6146))for(m=0;m<Ln.length;m++)Gn(Ln[m],e);if(i!==null&&i!==e){if(Bn++,i.deps!==null)for(let e=0;e<n;e+=1)i.deps[e].rv=Bn;if(t!==null)for(let e of t)e.rv=Bn;Ln!==null&&(r===null?r=Ln:r.push(...Ln))}return e.f&8388608&&(e.f^=pe),d}catch(e){return Dt(e)}finally{e.f^=de,G=t,In=n,Ln=r,U=i,Pn=a,Qe(o),jn=s,Vn=c}}function qn(e,t){let n=t.reactions;if(n!==null){var r=xe.call(n,e);if(r!==-1){var i=n.length-1;i===0?n=t.reactions=null:(n[r]=n[i],n.pop())}}if(n===null&&t.f&2&&(G===null||!Se.call(G,t))){var a=t;a.f&512&&(a.f^=512,a.f&=~ue),a.v!==k&&At(a),hn(a),Jn(a,0)}}function Jn(e,t){var n=e.deps;if(n!==null)for(var r=t;r<n.length;r++)qn(e,n[r])}function Yn(e){var t=e.f;if(!(t&16384)){R(e,T);var n=W,r=On;W=e,On=!0;try{t&16777232?_r(e):gr(e),hr(e);var i=Kn(e);e.teardown=typeof i==`function`?i:null,e.wv=zn}finally{On=r,W=n}}}function K(e){var t=!!(e.f&2);if(En?.add(e),U!==null&&!jn&&!(W!==null&&W.f&16384)&&(Pn===null||!Pn.has(e))){var n=U.deps;if(U.f&2097152)e.rv<Bn&&(e.rv=Bn,G===null&&n!==null&&n[In]===e?In++:G===null?G=[e]:G.push(e));else{U.deps??=[],Se.call(U.deps,e)||U.deps.push(e);var r=e.reactions;r===null?e.reactions=[U]:Se.call(r,U)||r.push(U)}}if(kn&&vn.has(e))return vn.get(e);if(t){var i=e;if(kn){var a=i.v;return(!(i.f&1024)&&i.reactions!==null||Zn(i))&&(a=pn(i)),vn.set(i,a),a}var o=!(i.f&512)&&!jn&&U!==null&&(On||!!(U.f&512)),s=(i.f&ie)===0;Wn(i)&&(o&&(i.f|=512),mn(i)),o&&!s&&(gn(i),Xn(i))}if(Lt?.has(e))return Lt.get(e);if(e.f&8388608)throw e.v;return e.v}function Xn(e){if(e.f|=512,e.deps!==null)for(let t of e.deps)(t.reactions??=[]).push(e),t.f&2&&!(t.f&512)&&(gn(t),Xn(t))}function Zn(e){if(e.v===k)return!0;if(e.deps===null)return!1;for(let t of e.deps)if(vn.has(t)||t.f&2&&Zn(t))return!0;return!1}function Qn(e){var t=jn;try{return jn=!0,e()}finally{jn=t}}function $n(e){if(!(typeof e!=`object`||!e||e instanceof EventTarget)){if(E in e)er(e);else if(!Array.isArray(e))for(let t in e){let n=e[t];typeof n==`object`&&n&&E in n&&er(n)}}}function er(e,t=new Set){if(typeof e==`object`&&e&&!(e instanceof EventTarget)&&!t.has(e)){t.add(e),e instanceof Date&&e.getTime();for(let n in e)try{er(e[n],t)}catch{}let n=ke(e);if(n!==Object.prototype&&n!==Array.prototype&&n!==Map.prototype&&n!==Set.prototype&&n!==Date.prototype){let t=Ee(n);for(let n in t){let r=t[n].get;if(r)try{r.call(e)}catch{}}}}}function tr(e){W===null&&(U===null&&He(e),Ve()),kn&&Be(e)}function nr(e,t){var n=t.last;n===null?t.last=t.first=e:(n.next=e,e.prev=n,t.last=e)}function rr(e,t){var n=W;n!==null&&n.f&8192&&(e|=ne);var r={ctx:A,deps:null,nodes:null,f:e|ee|512,first:null,fn:t,last:null,next:null,parent:n,b:n&&n.b,prev:null,teardown:null,wv:0,ac:null};z?.register_created_effect(r);var i=r;if(e&4)Vt===null?Gt.ensure().schedule(r):Vt.push(r);else if(t!==null){try{Yn(r)}catch(e){throw J(r),e}i.deps===null&&i.teardown===null&&i.nodes===null&&i.first===i.last&&!(i.f&524288)&&(i=i.first,e&16&&e&65536&&i!==null&&(i.f|=oe))}if(i!==null&&(i.parent=n,n!==null&&nr(i,n),U!==null&&U.f&2&&!(e&64))){var a=U;(a.effects??=[]).push(i)}return r}function ir(){return U!==null&&!jn}function ar(e){let t=rr(8,null);return R(t,T),t.teardown=e,t}function or(e){tr(`$effect`);var t=W.f;if(!U&&t&32&&A!==null&&!A.i){var n=A;(n.e??=[]).push(e)}else return sr(e)}function sr(e){return rr(4|ce,e)}function cr(e){return tr(`$effect.pre`),rr(8|ce,e)}function lr(e){Gt.ensure();let t=rr(64|se,e);return(e={})=>new Promise(n=>{e.outro?br(t,()=>{J(t),n(void 0)}):(J(t),n(void 0))})}function ur(e){return rr(4,e)}function dr(e){return rr(fe|se,e)}function fr(e,t=0){return rr(8|t,e)}function q(e,t=[],n=[],r=[]){rn(r,t,n,t=>{rr(8,()=>e(...t.map(K)))})}function pr(e,t=0){return rr(16|t,e)}function mr(e){return rr(32|se,e)}function hr(e){var t=e.teardown;if(t!==null){let e=kn,n=U;An(!0),Mn(null);try{t.call(null)}finally{An(e),Mn(n)}}}function gr(e,t=!1){var n=e.first;for(e.first=e.last=null;n!==null;){let e=n.ac;e!==null&&Dn(()=>{e.abort(be)});var r=n.next;n.f&64?n.parent=null:J(n,t),n=r}}function _r(e){for(var t=e.first;t!==null;){var n=t.next;t.f&32||J(t),t=n}}function J(e,t=!0){var n=!1;(t||e.f&262144)&&e.nodes!==null&&e.nodes.end!==null&&(vr(e.nodes.start,e.nodes.end),n=!0),R(e,ae),gr(e,t&&!n),Jn(e,0);var r=e.nodes&&e.nodes.t;if(r!==null)for(let e of r)e.stop();hr(e),e.f^=ae,e.f|=re;var i=e.parent;i!==null&&i.first!==null&&yr(e),e.next=e.prev=e.teardown=e.ctx=e.deps=e.fn=e.nodes=e.ac=e.b=null}function vr(e,t){for(;e!==null;){var n=e===t?null:xt(e);e.remove(),e=n}}function yr(e){var t=e.parent,n=e.prev,r=e.next;n!==null&&(n.next=r),r!==null&&(r.prev=n),t!==null&&(t.first===e&&(t.first=r),t.last===e&&(t.last=n))}function br(e,t,n=!0){var r=[];xr(e,r,!0);var i=()=>{n&&J(e),t&&t()},a=r.length;if(a>0){var o=()=>--a||i();for(var s of r)s.out(o)}else i()}function xr(e,t,n){if(!(e.f&8192)){e.f^=ne;var r=e.nodes&&e.nodes.t;if(r!==null)for(let e of r)(e.is_global||n)&&t.push(e);for(var i=e.first;i!==null;){var a=i.next;if(!(i.f&64)){var o=!!(i.f&65536)||!!(i.f&32)&&!!(e.f&16);xr(i,t,o?n:!1)}i=a}}}function Sr(e){Cr(e,!0)}function Cr(e,t){if(e.f&8192){e.f^=ne,e.f&1024||(R(e,ee),Gt.ensure().schedule(e));for(var n=e.first;n!==null;){var r=n.next,i=!!(n.f&65536)||!!(n.f&32);Cr(n,i?t:!1),n=r}var a=e.nodes&&e.nodes.t;if(a!==null)for(let e of a)(e.is_global||t)&&e.in()}}function wr(e,t){if(e.nodes)for(var n=e.nodes.start,r=e.nodes.end;n!==null;){var i=n===r?null:xt(n);t.append(n),n=i}}var Tr=Symbol(`events`),Er=new Set,Dr=new Set;function Or(e,t,n,r={}){function i(e){if(r.capture||Nr.call(t,e),!e.cancelBubble)return Dn(()=>n?.call(this,e))}return e.startsWith(`pointer`)||e.startsWith(`touch`)||e===`wheel`?j(()=>{t.addEventListener(e,i,r)}):t.addEventListener(e,i,r),i}function kr(e,t,n,r,i){var a={capture:r,passive:i},o=Or(e,t,n,a);(t===document.body||t===window||t===document||t instanceof HTMLMediaElement)&&ar(()=>{t.removeEventListener(e,o,a)})}function Ar(e,t,n){(t[Tr]??={})[e]=n}function jr(e){for(var t=0;t<e.length;t++)Er.add(e[t]);for(var n of Dr)n(e)}var Mr=null;function Nr(e){var t=this,n=t.ownerDocument,r=e.type,i=e.composedPath?.()||[],a=i[0]||e.target;Mr=e;var o=0,s=Mr===e&&e[Tr];if(s){var c=i.indexOf(s);if(c!==-1&&(t===document||t===window)){e[Tr]=t;return}var l=i.indexOf(t);if(l===-1)return;c<=l&&(o=c)}if(a=i[o]||e.target,a!==t){we(e,`currentTarget`,{configurable:!0,get(){return a||n}});var u=U,d=W;Mn(null),Nn(null);try{for(var f,p=[];a!==null&&a!==t;){try{var m=a[Tr]?.[r];m==null||a.disabled&&e.target!==a||m.call(a,e)}catch(e){f?p.push(e):f=e}if(e.cancelBubble)break;o++,a=o<i.length?i[o]:null}if(f){for(let e of p)queueMicrotask(()=>{throw e});throw f}}finally{e[Tr]=t,delete e.currentTarget,Mn(u),Nn(d)}}}var Pr=globalThis?.window?.trustedTypes&&globalThis.window.trustedTypes.createPolicy(`svelte-trusted-html`,{createHTML:e=>e});function Fr(e){return Pr?.createHTML(e)??e}function Ir(e){var t=Tt(`template`);return t.innerHTML=Fr(e.replaceAll(`<!>`,`<!---->`)),t.content}function Lr(e,t){var n=W;n.nodes===null&&(n.nodes={start:e,end:t,a:null,t:null})}function Rr(e,t){var n=!!(t&1),r=!!(t&2),i,a=!e.startsWith(`<!>`);return()=>{if(M)return Lr(N,null),N;i===void 0&&(i=Ir(a?e:`<!>`+e),n||(i=bt(i)));var t=r||ht?document.importNode(i,!0):i.cloneNode(!0);if(n){var o=bt(t),s=t.lastChild;Lr(o,s)}else Lr(t,t);return t}}function zr(e,t,n=`svg`){var r=!e.startsWith(`<!>`),i=!!(t&1),a=`<${n}>${r?e:`<!>`+e}</${n}>`,o;return()=>{if(M)return Lr(N,null),N;if(!o){var e=bt(Ir(a));if(i)for(o=document.createDocumentFragment();bt(e);)o.appendChild(bt(e));else o=bt(e)}var t=o.cloneNode(!0);if(i){var n=bt(t),r=t.lastChild;Lr(n,r)}else Lr(t,t);return t}}function Br(e,t){return zr(e,t,`svg`)}function Vr(){if(M)return Lr(N,null),N;var e=document.createDocumentFragment(),t=document.createComment(``),n=yt();return e.append(t,n),Lr(t,n),e}function Y(e,t){if(M){var n=W;n.f&32768&&n.nodes.end!==null||(n.nodes.end=N),lt()}else e!==null&&e.before(t)}[...`allowfullscreen.async.autofocus.autoplay.checked.controls.default.disabled.formnovalidate.indeterminate.inert.ismap.loop.multiple.muted.nomodule.novalidate.open.playsinline.readonly.required.reversed.seamless.selected.webkitdirectory.defer.disablepictureinpicture.disableremoteplayback`.split(`.`)];var Hr=[`touchstart`,`touchmove`];function Ur(e){return Hr.includes(e)}function Wr(e,t){var n=t==null?``:typeof t==`object`?`${t}`:t;n!==(e[ye]??=e.nodeValue)&&(e[ye]=n,e.nodeValue=`${n}`)}function Gr(e,t){return Jr(e,t)}function Kr(e,t){vt(),t.intro=t.intro??!1;let n=t.target,r=M,i=N;try{for(var a=bt(n);a&&(a.nodeType!==8||a.data!==`[`);)a=xt(a);if(!a)throw Xe;ct(!0),P(a);let r=Jr(e,{...t,anchor:a});return ct(!1),r}catch(r){if(r instanceof Error&&r.message.split(`
`).some(e=>e.startsWith(`https://svelte.dev/e/`)))throw r;return r!==Xe&&console.warn(`Failed to hydrate: `,r),t.recover===!1&&We(),vt(),Ct(n),ct(!1),Gr(e,t)}finally{ct(r),P(i)}}var qr=new Map;function Jr(e,{target:t,anchor:n,props:r={},events:i,context:a,intro:o=!0,transformError:s}){vt();var c=void 0,l=lr(()=>{var o=n??t.appendChild(yt());tn(o,{pending:()=>{}},t=>{$e({});var n=A;if(a&&(n.c=a),i&&(r.$$events=i),M&&Lr(t,null),c=e(t,r)||{},M&&(W.nodes.end=N,N===null||N.nodeType!==8||N.data!==`]`))throw ot(),Xe;et()},s);var l=new Set,u=e=>{for(var n=0;n<e.length;n++){var r=e[n];if(!l.has(r)){l.add(r);var i=Ur(r);for(let e of[t,document]){var a=qr.get(e);a===void 0&&(a=new Map,qr.set(e,a));var o=a.get(r);o===void 0?(e.addEventListener(r,Nr,{passive:i}),a.set(r,1)):a.set(r,o+1)}}}};return u(Ce(Er)),Dr.add(u),()=>{for(var e of l)for(let n of[t,document]){var r=qr.get(n),i=r.get(e);--i==0?(n.removeEventListener(e,Nr),r.delete(e),r.size===0&&qr.delete(n)):r.set(e,i)}Dr.delete(u),o!==n&&o.parentNode?.removeChild(o)}});return Yr.set(c,l),c}var Yr=new WeakMap;function Xr(e,t){let n=Yr.get(e);return n?(Yr.delete(e),n(t)):Promise.resolve()}function Zr(e){return new Qr(e)}var Qr=class{#e;#t;constructor(e){var t=new Map,n=(e,n)=>{var r=xn(n,!1,!1);return t.set(e,r),r};let r=new Proxy({...e.props||{},$$events:{}},{get(e,r){return K(t.get(r)??n(r,Reflect.get(e,r)))},has(e,r){return r===me||(K(t.get(r)??n(r,Reflect.get(e,r))),Reflect.has(e,r))},set(e,r,i){return H(t.get(r)??n(r,i),i),Reflect.set(e,r,i)}});this.#t=(e.hydrate?Kr:Gr)(e.component,{target:e.target,anchor:e.anchor,props:r,context:e.context,intro:e.intro??!1,recover:e.recover,transformError:e.transformError}),e?.props?.$$host&&e.sync!==!1||Kt(),this.#e=r.$$events;for(let e of Object.keys(this.#t))e===`$set`||e===`$destroy`||e===`$on`||we(this,e,{get(){return this.#t[e]},set(t){this.#t[e]=t},enumerable:!0});this.#t.$set=e=>{Object.assign(r,e)},this.#t.$destroy=()=>{Xr(this.#t)}}$set(e){this.#t.$set(e)}$on(e,t){this.#e[e]=this.#e[e]||[];let n=(...e)=>t.call(this,...e);return this.#e[e].push(n),()=>{this.#e[e]=this.#e[e].filter(e=>e!==n)}}$destroy(){this.#t.$destroy()}};typeof window<`u`&&((window.__svelte??={}).v??=new Set).add(`5`);var $r=class{anchor;#e=new Map;#t=new Map;#n=new Map;#r=new Set;#i=!0;constructor(e,t=!0){this.anchor=e,this.#i=t}#a=e=>{if(this.#e.has(e)){var t=this.#e.get(e),n=this.#t.get(t);if(n)Sr(n),this.#r.delete(t);else{var r=this.#n.get(t);r&&(Sr(r.effect),this.#t.set(t,r.effect),this.#n.delete(t),r.fragment.lastChild.remove(),this.anchor.before(r.fragment),n=r.effect)}for(let[t,n]of this.#e){if(this.#e.delete(t),t===e)break;let r=this.#n.get(n);r&&(J(r.effect),this.#n.delete(n))}for(let[e,r]of this.#t){if(e===t||this.#r.has(e))continue;let i=()=>{if(Array.from(this.#e.values()).includes(e)){var t=document.createDocumentFragment();wr(r,t),t.append(yt()),this.#n.set(e,{effect:r,fragment:t})}else J(r);this.#r.delete(e),this.#t.delete(e)};this.#i||!n?(this.#r.add(e),br(r,i,!1)):i()}}};#o=e=>{this.#e.delete(e);let t=Array.from(this.#e.values());for(let[e,n]of this.#n)t.includes(e)||(J(n.effect),this.#n.delete(e))};ensure(e,t){var n=z,r=wt();if(t&&!this.#t.has(e)&&!this.#n.has(e)){if(r){var i=document.createDocumentFragment(),a=yt();i.append(a),this.#n.set(e,{effect:mr(()=>t(a)),fragment:i})}else this.#t.set(e,mr(()=>t(this.anchor)))}if(this.#e.set(n,e),r){for(let[t,r]of this.#t)t===e?n.unskip_effect(r):n.skip_effect(r);for(let[t,r]of this.#n)t===e?n.unskip_effect(r.effect):n.skip_effect(r.effect);n.oncommit(this.#a),n.ondiscard(this.#o)}else M&&(this.anchor=N),this.#a(n)}};function ei(e){A===null&&Le(`onMount`),or(()=>{let t=Qn(e);if(typeof t==`function`)return t})}function ti(e){A===null&&Le(`onDestroy`),ei(()=>()=>Qn(e))}function X(e,t,n=!1){var r;M&&(r=N,lt());var i=new $r(e),a=n?oe:0;function o(e,t){if(M){var n=ft(r);if(e!==parseInt(n.substring(1))){var a=dt();P(a),i.anchor=a,ct(!1),i.ensure(e,t),ct(!0);return}}i.ensure(e,t)}pr(()=>{var e=!1;t((t,n=0)=>{e=!0,o(n,t)}),e||o(-1,null)},a)}var ni=Symbol(`NaN`);function ri(e,t,n){M&&lt();var r=new $r(e),i=!tt();pr(()=>{var e=t();e!==e&&(e=ni),i&&typeof e==`object`&&e&&(e={}),r.ensure(e,n)})}function ii(e,t){return t}function ai(e,t,n){for(var r=[],i=t.length,a,o=t.length,s=0;s<i;s++){let n=t[s];br(n,()=>{if(a){if(a.pending.delete(n),a.done.add(n),a.pending.size===0){var t=e.outrogroups;oi(e,Ce(a.done)),t.delete(a),t.size===0&&(e.outrogroups=null)}}else--o},!1)}if(o===0){var c=r.length===0&&n!==null;if(c){var l=n,u=l.parentNode;Ct(u),u.append(l),e.items.clear()}oi(e,t,!c)}else a={pending:new Set(t),done:new Set},(e.outrogroups??=new Set).add(a)}function oi(e,t,n=!0){var r;if(e.pending.size>0){r=new Set;for(let t of e.pending.values())for(let n of t)r.add(e.items.get(n).e)}for(var i=0;i<t.length;i++){var a=t[i];r?.has(a)?(a.f|=le,wr(a,document.createDocumentFragment())):J(t[i],n)}}var si;function ci(e,t,n,r,i,a=null){var o=e,s=new Map;if(t&4){var c=e;o=M?P(bt(c)):c.appendChild(yt())}M&&lt();var l=null,u=dn(()=>{var e=n();return O(e)?e:e==null?[]:Ce(e)}),d,f=new Map,p=!0;function m(e){g.effect.f&16384||(g.pending.delete(e),g.fallback=l,ui(g,d,o,t,r),l!==null&&(d.length===0?l.f&33554432?(l.f^=le,fi(l,null,o)):Sr(l):br(l,()=>{l=null})))}function h(e){g.pending.delete(e)}var g={effect:pr(()=>{d=K(u);var e=d.length;let c=!1;M&&ft(o)===`[!`!=(e===0)&&(o=dt(),P(o),ct(!1),c=!0);for(var g=new Set,_=z,v=wt(),y=0;y<e;y+=1){M&&N.nodeType===8&&N.data===`]`&&(o=N,c=!0,ct(!1));var b=d[y],x=r(b,y),S=p?null:s.get(x);S?(S.v&&Sn(S.v,b),S.i&&Sn(S.i,y),v&&_.unskip_effect(S.e)):(S=di(s,p?o:si??=yt(),b,x,y,i,t,n),p||(S.e.f|=le),s.set(x,S)),g.add(x)}if(e===0&&a&&!l&&(p?l=mr(()=>a(o)):(l=mr(()=>a(si??=yt())),l.f|=le)),e>g.size&&ze(``,``,``),M&&e>0&&P(dt()),!p){if(f.set(_,g),v){for(let[e,t]of s)g.has(e)||_.skip_effect(t.e);_.oncommit(m),_.ondiscard(h)}else m(_)}c&&ct(!0),K(u)}),flags:t,items:s,pending:f,outrogroups:null,fallback:l};p=!1,M&&(o=N)}function li(e){for(;e!==null&&!(e.f&32);)e=e.next;return e}function ui(e,t,n,r,i){var a=!!(r&8),o=t.length,s=e.items,c=li(e.effect.first),l,u=null,d,f=[],p=[],m,h,g,_;if(a)for(_=0;_<o;_+=1)m=t[_],h=i(m,_),g=s.get(h).e,g.f&33554432||(g.nodes?.a?.measure(),(d??=new Set).add(g));for(_=0;_<o;_+=1){if(m=t[_],h=i(m,_),g=s.get(h).e,e.outrogroups!==null)for(let t of e.outrogroups)t.pending.delete(g),t.done.delete(g);if(g.f&8192&&(Sr(g),a&&(g.nodes?.a?.unfix(),(d??=new Set).delete(g))),g.f&33554432){if(g.f^=le,g===c)fi(g,null,n);else{var v=u?u.next:c;g===e.effect.last&&(e.effect.last=g.prev),g.prev&&(g.prev.next=g.next),g.next&&(g.next.prev=g.prev),pi(e,u,g),pi(e,g,v),fi(g,v,n),u=g,f=[],p=[],c=li(u.next);continue}}if(g!==c){if(l!==void 0&&l.has(g)){if(f.length<p.length){var y=p[0],b;u=y.prev;var x=f[0],S=f[f.length-1];for(b=0;b<f.length;b+=1)fi(f[b],y,n);for(b=0;b<p.length;b+=1)l.delete(p[b]);pi(e,x.prev,S.next),pi(e,u,x),pi(e,S,y),c=y,u=S,--_,f=[],p=[]}else l.delete(g),fi(g,c,n),pi(e,g.prev,g.next),pi(e,g,u===null?e.effect.first:u.next),pi(e,u,g),u=g;continue}for(f=[],p=[];c!==null&&c!==g;)(l??=new Set).add(c),p.push(c),c=li(c.next);if(c===null)continue}g.f&33554432||f.push(g),u=g,c=li(g.next)}if(e.outrogroups!==null){for(let t of e.outrogroups)t.pending.size===0&&(oi(e,Ce(t.done)),e.outrogroups?.delete(t));e.outrogroups.size===0&&(e.outrogroups=null)}if(c!==null||l!==void 0){var C=[];if(l!==void 0)for(g of l)g.f&8192||C.push(g);for(;c!==null;)!(c.f&8192)&&c!==e.fallback&&C.push(c),c=li(c.next);var w=C.length;if(w>0){var T=r&4&&o===0?n:null;if(a){for(_=0;_<w;_+=1)C[_].nodes?.a?.measure();for(_=0;_<w;_+=1)C[_].nodes?.a?.fix()}ai(e,C,T)}}a&&j(()=>{if(d!==void 0)for(g of d)g.nodes?.a?.apply()})}function di(e,t,n,r,i,a,o,s){var c=o&1?o&16?bn(n):xn(n,!1,!1):null,l=o&2?bn(i):null;return{v:c,i:l,e:mr(()=>(a(t,c??n,l??i,s),()=>{e.delete(r)}))}}function fi(e,t,n){if(e.nodes)for(var r=e.nodes.start,i=e.nodes.end,a=t&&!(t.f&33554432)?t.nodes.start:n;r!==null;){var o=xt(r);if(a.before(r),r===i)return;r=o}}function pi(e,t,n){t===null?e.effect.first=n:t.next=n,n===null?e.effect.last=t:n.prev=t}function mi(e,t,n){ur(()=>{var r=Qn(()=>t(e,n?.())||{});if(n&&r?.update){var i=!1,a={};fr(()=>{var e=n();$n(e),i&&Fe(a,e)&&(a=e,r.update(e))}),i=!0}if(r?.destroy)return()=>r.destroy()})}function hi(e,t=!1){var n=t?` !important;`:`;`,r=``;for(var i of Object.keys(e)){var a=e[i];a!=null&&a!==``&&(r+=` `+i+`: `+a+n)}return r}function gi(e){return e[0]!==`-`||e[1]!==`-`?e.toLowerCase():e}function _i(e,t){if(t){var n=``,r,i;if(Array.isArray(t)?(r=t[0],i=t[1]):r=t,e){e=String(e).replaceAll(/\s*\/\*.*?\*\/\s*/g,``).trim();var a=!1,o=0,s=!1,c=[];r&&c.push(...Object.keys(r).map(gi)),i&&c.push(...Object.keys(i).map(gi));var l=0,u=-1;let t=e.length;for(var d=0;d<t;d++){var f=e[d];if(s?f===`/`&&e[d-1]===`*`&&(s=!1):a?a===f&&(a=!1):f===`/`&&e[d+1]===`*`?s=!0:f===`"`||f===`'`?a=f:f===`(`?o++:f===`)`&&o--,!s&&a===!1&&o===0){if(f===`:`&&u===-1)u=d;else if(f===`;`||d===t-1){if(u!==-1){var p=gi(e.substring(l,u).trim());if(!c.includes(p)){f!==`;`&&d++;var m=e.substring(l,d).trim();n+=` `+m+`;`}}l=d+1,u=-1}}}}return r&&(n+=hi(r)),i&&(n+=hi(i,!0)),n=n.trim(),n===``?null:n}return e==null?null:String(e)}function vi(e,t={},n,r){for(var i in n){var a=n[i];t[i]!==a&&(n[i]==null?e.style.removeProperty(i):e.style.setProperty(i,a,r))}}function Z(e,t,n,r){var i=e[ve];if(M||i!==t){var a=_i(t,r);M&&a===e.getAttribute(`style`)||(a==null?e.removeAttribute(`style`):e.style.cssText=a),e[ve]=t}else r&&(Array.isArray(r)?(vi(e,n?.[0],r[0]),vi(e,n?.[1],r[1],`important`)):vi(e,n,r));return r}var yi=Symbol(`is custom element`),bi=Symbol(`is html`),xi=D?`link`:`LINK`;function Q(e,t,n,r){var i=Si(e);M&&(i[t]=e.getAttribute(t),t===`src`||t===`srcset`||t===`href`&&e.nodeName===xi)||i[t]!==(i[t]=n)&&(t===`loading`&&(e[he]=n),n==null?e.removeAttribute(t):typeof n!=`string`&&wi(e).includes(t)?e[t]=n:e.setAttribute(t,n))}function Si(e){return e[ge]??={[yi]:e.nodeName.includes(`-`),[bi]:e.namespaceURI===Ze}}var Ci=new Map;function wi(e){var t=e.getAttribute(`is`)||e.nodeName,n=Ci.get(t);if(n)return n;Ci.set(t,n=[]);for(var r,i=e,a=Element.prototype;a!==i;){for(var o in r=Ee(i),r)r[o].set&&o!==`innerHTML`&&o!==`textContent`&&o!==`innerText`&&n.push(o);i=ke(i)}return n}function Ti(e,t){return e===t||e?.[E]===t}function Ei(e={},t,n,r){var i=A.r,a=W;return ur(()=>{var o,s;return fr(()=>{o=s,s=r?.()||[],Qn(()=>{Ti(n(...s),e)||(t(e,...s),o&&Ti(n(...o),e)&&t(null,...o))})}),()=>{let r=a;for(;r!==i&&r.parent!==null&&r.parent.f&33554432;)r=r.parent;let o=()=>{s&&Ti(n(...s),e)&&t(null,...s)},c=r.teardown;r.teardown=()=>{o(),c?.()}}}),e}function $(e,t,n,r){var i=!0,a=!!(n&8),o=!!(n&16),s=r,c=!0,l=void 0,u=()=>o&&i?(l??=cn(r),K(l)):(c&&(c=!1,s=o?Qn(r):r),s);let d;if(a){var f=E in e||me in e;d=Te(e,t)?.set??(f&&t in e?n=>e[t]=n:void 0)}var p,m=!1;a?[p,m]=Pt(()=>e[t]):p=e[t],p===void 0&&r!==void 0&&(p=u(),d&&(i&&Ge(t),d(p)));var h=i?()=>{var n=e[t];return n===void 0?u():(c=!0,n)}:()=>{var n=e[t];return n!==void 0&&(s=void 0),n===void 0?s:n};if(i&&!(n&4))return h;if(d){var g=e.$$legacy;return(function(e,t){return arguments.length>0?((!i||!t||g||m)&&d(t?h():e),e):h()})}var _=!1,v=(n&1?cn:dn)(()=>(_=!1,h()));a&&K(v);var y=W;return(function(e,t){if(arguments.length>0){let n=t?K(v):i&&a?pt(e):e;return H(v,n),_=!0,s!==void 0&&(s=n),e}return kn&&_||y.f&16384?v.v:K(v)})}var Di=Br(`<g><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect><rect role="none"></rect></g>`);function Oi(e,t){$e(t,!0);let n=B(()=>t.pointLocation(t.value.xMin,t.value.yMin)),r=B(()=>t.pointLocation(t.value.xMax,t.value.yMax));function i(e){return i=>{t.preventHover(!0);let a=[K(n).x,K(n).y,K(r).x,K(r).y];return{move:n=>{let r=n.pageX-i.pageX,o=n.pageY-i.pageY,s=[r,o,r,o].map((t,n)=>a[n]+t*e[n]),c=t.coordinateAtPoint(s[0],s[1]),l=t.coordinateAtPoint(s[2],s[3]);t.onChange({xMin:Math.min(c.x,l.x),xMax:Math.max(c.x,l.x),yMin:Math.min(c.y,l.y),yMax:Math.max(c.y,l.y)})},up:()=>{t.preventHover(!1)},cancel:()=>{t.preventHover(!1)}}}}var a=Di(),o=I(a);Z(o,``,{},{stroke:`#fff`,fill:`rgba(128,128,128,0.25)`,cursor:`move`}),mi(o,(e,t)=>c?.(e,t),()=>({drag:i([1,1,1,1])}));var s=L(o);Q(s,`width`,8),Z(s,``,{},{cursor:`ew-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(s,(e,t)=>c?.(e,t),()=>({drag:i([1,0,0,0])}));var l=L(s);Q(l,`width`,8),Z(l,``,{},{cursor:`ew-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(l,(e,t)=>c?.(e,t),()=>({drag:i([0,0,1,0])}));var u=L(l);Q(u,`height`,8),Z(u,``,{},{cursor:`ns-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(u,(e,t)=>c?.(e,t),()=>({drag:i([0,1,0,0])}));var d=L(u);Q(d,`height`,8),Z(d,``,{},{cursor:`ns-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(d,(e,t)=>c?.(e,t),()=>({drag:i([0,0,0,1])}));var f=L(d);Q(f,`width`,8),Q(f,`height`,8),Z(f,``,{},{cursor:`nesw-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(f,(e,t)=>c?.(e,t),()=>({drag:i([1,1,0,0])}));var p=L(f);Q(p,`width`,8),Q(p,`height`,8),Z(p,``,{},{cursor:`nwse-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(p,(e,t)=>c?.(e,t),()=>({drag:i([1,0,0,1])}));var m=L(p);Q(m,`width`,8),Q(m,`height`,8),Z(m,``,{},{cursor:`nwse-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(m,(e,t)=>c?.(e,t),()=>({drag:i([0,1,1,0])}));var h=L(m);Q(h,`width`,8),Q(h,`height`,8),Z(h,``,{},{cursor:`nesw-resize`,stroke:`none`,fill:`none`,"pointer-events":`all`}),mi(h,(e,t)=>c?.(e,t),()=>({drag:i([0,0,1,1])})),F(a),q((e,t,i,a,c,g,_,v,y,b,x,S)=>{Q(o,`x`,e),Q(o,`width`,t),Q(o,`y`,i),Q(o,`height`,a),Q(s,`x`,K(n).x-4),Q(s,`y`,c),Q(s,`height`,g),Q(l,`x`,K(r).x-4),Q(l,`y`,_),Q(l,`height`,v),Q(u,`x`,y),Q(u,`width`,b),Q(u,`y`,K(n).y-4),Q(d,`x`,x),Q(d,`width`,S),Q(d,`y`,K(r).y-4),Q(f,`x`,K(n).x-4),Q(f,`y`,K(n).y-4),Q(p,`x`,K(n).x-4),Q(p,`y`,K(r).y-4),Q(m,`x`,K(r).x-4),Q(m,`y`,K(n).y-4),Q(h,`x`,K(r).x-4),Q(h,`y`,K(r).y-4)},[()=>Math.min(K(n).x,K(r).x),()=>Math.abs(K(n).x-K(r).x),()=>Math.min(K(n).y,K(r).y),()=>Math.abs(K(n).y-K(r).y),()=>Math.min(K(n).y,K(r).y),()=>Math.abs(K(n).y-K(r).y),()=>Math.min(K(n).y,K(r).y),()=>Math.abs(K(n).y-K(r).y),()=>Math.min(K(n).x,K(r).x),()=>Math.abs(K(n).x-K(r).x),()=>Math.min(K(n).x,K(r).x),()=>Math.abs(K(n).x-K(r).x)]),Y(e,a),et()}function ki(e,t){let n=!1,r,i,a,o=async t=>{n=!0;try{await e(t)}catch(e){console.error(e)}finally{n=!1}if(r!==void 0){let e=r;r=void 0,s(e)}},s=async e=>{if(n){r=e;return}let s=new Date().getTime();t()&&(i=s);let c=!0;(i==null||s-i<300)&&(c=!1),c?(a&&clearTimeout(a),a=setTimeout(()=>o(e),300)):o(e)};return s}function Ai(e,t){let n=e.x-t.x,r=e.y-t.y;return Math.sqrt(n*n+r*r)}function ji(e){return`M `+e.map(({x:e,y:t})=>`${e},${t}`).join(` L `)+` Z`}function Mi(e){let t=1/0,n=-1/0,r=1/0,i=-1/0;for(let{x:a,y:o}of e)t=Math.min(t,a),r=Math.min(r,o),n=Math.max(n,a),i=Math.max(i,o);return{xMin:t,yMin:r,xMax:n,yMax:i}}async function Ni(e){return Ii(JSON.stringify(e))}function Pi(e,t){if(e===t)return!0;if(e===null||t===null||typeof e!=`object`||typeof t!=`object`||Object.keys(e).length!==Object.keys(t).length)return!1;for(let n in e)if(t.hasOwnProperty(n)){if(!Pi(e[n],t[n]))return!1}else return!1;return!0}function Fi(e,t=0){let n=3735928559^t,r=1103547991^t;for(let t=0;t<e.length;t++){let i=e[t];n=Math.imul(n^i,2654435761),r=Math.imul(r^i,1597334677)}return n=Math.imul(n^n>>>16,2246822507),n^=Math.imul(r^r>>>13,3266489909),r=Math.imul(r^r>>>16,2246822507),r^=Math.imul(n^n>>>13,3266489909),[r>>>0,n>>>0]}function Ii(e){let t=Fi(new TextEncoder().encode(e));return t[0].toString(16).padStart(8,`0`)+t[1].toString(16).padStart(8,`0`)}var Li=Br(`<path></path>`);function Ri(e,t){$e(t,!0);let n=B(()=>t.value.map(({x:e,y:n})=>t.pointLocation(e,n)));var r=Li();Z(r,``,{},{stroke:`#fff`,fill:`rgba(128,128,128,0.25)`}),q(e=>Q(r,`d`,e),[()=>ji(K(n))]),Y(e,r),et()}var zi={marquee:`M7 5a2 2 0 1 1-4 0a2 2 0 0 1 4 0m1-.25c0 .414.336.75.75.75h6.5a.75.75 0 0 0 0-1.5h-6.5a.75.75 0 0 0-.75.75M4.75 8a.75.75 0 0 0-.75.75v6.5a.75.75 0 0 0 1.5 0v-6.5A.75.75 0 0 0 4.75 8m14.5 0a.75.75 0 0 0-.75.75v6.5a.75.75 0 0 0 1.5 0v-6.5a.75.75 0 0 0-.75-.75M8.75 20a.75.75 0 0 1 0-1.5h6.5a.75.75 0 0 1 0 1.5zM5 21a2 2 0 1 0 0-4a2 2 0 0 0 0 4M21 5a2 2 0 1 1-4 0a2 2 0 0 1 4 0m-2 16a2 2 0 1 0 0-4a2 2 0 0 0 0 4`,lasso:`M9.703 2.265A10 10 0 0 1 12 2c.79 0 1.559.092 2.297.265a.75.75 0 1 1-.343 1.46A8.5 8.5 0 0 0 12 3.5a8.6 8.6 0 0 0-1.954.225a.75.75 0 1 1-.343-1.46m-1.93 1.47a.75.75 0 0 1-.242 1.033a8.55 8.55 0 0 0-2.763 2.763a.75.75 0 1 1-1.275-.79a10.05 10.05 0 0 1 3.248-3.248a.75.75 0 0 1 1.032.243m8.454 0a.75.75 0 0 1 1.032-.242a10.05 10.05 0 0 1 3.248 3.248a.75.75 0 1 1-1.275.79a8.55 8.55 0 0 0-2.763-2.763a.75.75 0 0 1-.242-1.032m-13.06 5.41a.75.75 0 0 1 .558.901A8.5 8.5 0 0 0 3.5 12c0 .673.078 1.327.225 1.954a.75.75 0 1 1-1.46.343A10 10 0 0 1 2 12c0-.79.092-1.559.265-2.297a.75.75 0 0 1 .902-.559m17.666 0a.75.75 0 0 1 .902.558a10.1 10.1 0 0 1 0 4.595a.75.75 0 1 1-1.46-.343a8.54 8.54 0 0 0-.001-3.908a.75.75 0 0 1 .559-.902M3.736 16.226a.75.75 0 0 1 1.032.242a8.55 8.55 0 0 0 2.763 2.763a.75.75 0 0 1-.79 1.275a10.05 10.05 0 0 1-3.248-3.248a.75.75 0 0 1 .243-1.032m16.685.858a.75.75 0 1 0-1.342-.67l-.002.004l-.015.029l-.069.123a8 8 0 0 1-.289.466a9.6 9.6 0 0 1-.965 1.219c-1.17-1.073-2.756-2.006-4.74-2.006c-2.347 0-3.99 1.203-3.99 2.875S10.653 22 13 22c1.942 0 3.495-.75 4.658-1.645a11.7 11.7 0 0 1 1.315 2.01q.05.099.073.149l.017.035l.004.009a.75.75 0 0 0 1.368-.615c-.087-.183 0-.001 0-.001v-.002l-.003-.004l-.007-.015l-.024-.052l-.091-.184a13.2 13.2 0 0 0-1.538-2.337a11 11 0 0 0 1.525-2.032l.09-.162l.024-.047l.007-.014l.002-.005zM13 17.75c1.433 0 2.644.652 3.616 1.512c-.95.7-2.155 1.238-3.616 1.238c-1.973 0-2.49-.922-2.49-1.375s.517-1.375 2.49-1.375`},Bi=Br(`<svg width="24" height="24" viewBox="0 0 24 24"><path></path></svg>`),Vi=Rr(`<button><!></button>`);function Hi(e,t){let n=$(t,`active`,3,!1);var r=Vi();let i;var a=I(r),o=e=>{var n=Bi();Z(n,``,{},{width:`14px`,height:`14px`});var r=I(n);Z(r,``,{},{fill:`currentColor`}),F(n),q(()=>Q(r,`d`,zi[t.icon])),Y(e,n)};X(a,e=>{t.icon!=null&&e(o)}),F(r),q(()=>{Q(r,`title`,t.title),i=Z(r,``,i,{border:`none`,appearance:`none`,background:n()?`color-mix(in srgb, currentColor 20%, transparent)`:`none`,"border-radius":`2px`,height:`16px`,width:`16px`,padding:`0`,margin:`0`,"font-family":`inherit`,"font-size":`1em`,color:`currentColor`,display:`flex`,"flex-direction":`row`,"align-items":`center`,"justify-content":`center`})}),Ar(`click`,r,function(...e){t.onClick?.apply(this,e)}),Y(e,r)}jr([`click`]);var Ui=Rr(`<div><div> </div> <svg height="6px"><line shape-rendering="crispEdges"></line><line shape-rendering="crispEdges"></line><line shape-rendering="crispEdges"></line></svg></div>`);function Wi(e,t){function n(e,t){let n=Math.log10(t*e),r=Math.round(n),i=[.1,.2,.5,1,2,5,10],a=0,o=1e10;for(let e of i){let t=Math.abs(Math.log10(e)+r-n);t<o&&(a=e,o=t)}return a*10**r}let r=B(()=>n(t.distancePerPoint,30)),i=B(()=>K(r)/t.distancePerPoint);var a=Ui();Z(a,``,{},{display:`flex`,"align-items":`center`});var o=I(a);Z(o,``,{},{"padding-right":`4px`});var s=I(o,!0);F(o);var c=L(o,2),l=I(c);Q(l,`x1`,1),Q(l,`y1`,3),Q(l,`y2`,3),Z(l,``,{},{stroke:`currentColor`,"stroke-width":`2`,"stroke-cap":`butt`});var u=L(l);Q(u,`x1`,1),Q(u,`x2`,1),Q(u,`y1`,0),Q(u,`y2`,6),Z(u,``,{},{stroke:`currentColor`});var d=L(u);Q(d,`y1`,0),Q(d,`y2`,6),Z(d,``,{},{stroke:`currentColor`}),F(c),F(a),q(e=>{Wr(s,e),Q(c,`width`,`${K(i)+2}px`),Q(l,`x2`,K(i)+1),Q(d,`x1`,K(i)+1),Q(d,`x2`,K(i)+1)},[()=>K(r).toLocaleString()]),Y(e,a)}var Gi=Rr(`<div> </div>`),Ki=Rr(`<a target="_blank" rel="noopener noreferrer"> </a> <div style="border-right: 1px solid currentColor; margin: 4px 2px; opacity: 0.3; width: 0; height: 10px"></div>`,1),qi=Rr(`<div><div><!></div> <div></div> <div><!> <!> <!> <div style="border-right: 1px solid currentColor; margin: 4px 2px; opacity: 0.3; width: 0; height: 10px"></div> <!> <div style="border-right: 1px solid currentColor; margin: 4px 2px; opacity: 0.3; width: 0; height: 10px"></div> <span> </span></div></div>`);function Ji(e,t){$e(t,!0);let n=$(t,`statusMessage`,3,null);var r=qi();let i;var a=I(r);let o;var s=I(a),c=e=>{var t=Gi();Z(t,``,{},{display:`inline-block`});var r=I(t,!0);F(t),q(()=>Wr(r,n())),Y(e,t)};X(s,e=>{n()!=null&&e(c)}),F(a);var l=L(a,2);Z(l,``,{},{flex:`1 1 0%`});var u=L(l,2);let d;var f=I(u),p=e=>{var n=Ki(),r=St(n);Z(r,``,{},{color:`currentColor`,"text-decoration":`underline`});var i=I(r,!0);F(r),ut(2),q(()=>{Q(r,`href`,t.resolvedTheme.brandingLink.href),Wr(i,t.resolvedTheme.brandingLink.text)}),Y(e,n)};X(f,e=>{t.resolvedTheme.brandingLink!=null&&e(p)});var m=L(f,2);{let e=B(()=>t.selectionMode==`marquee`);Hi(m,{icon:`marquee`,get active(){return K(e)},title:`Toggle rectangle selection mode. In normal mode, use shift + drag for rectangle selection.`,onClick:()=>t.onSelectionMode(t.selectionMode==`marquee`?`none`:`marquee`)})}var h=L(m,2);{let e=B(()=>t.selectionMode==`lasso`);Hi(h,{icon:`lasso`,get active(){return K(e)},title:`Toggle lasso selection mode. In normal mode, use shift + meta + drag for lasso selection.`,onClick:()=>t.onSelectionMode(t.selectionMode==`lasso`?`none`:`lasso`)})}var g=L(h,4);Wi(g,{get distancePerPoint(){return t.distancePerPoint}});var _=L(g,4),v=I(_);F(_),F(u),F(r),q(e=>{i=Z(r,``,i,{"font-size":`12px`,"line-height":`20px`,height:`20px`,color:t.resolvedTheme.statusBarTextColor,position:`absolute`,bottom:`0px`,left:`0px`,right:`0px`,"user-select":`none`,"font-family":t.resolvedTheme.fontFamily,display:`flex`,"flex-direction":`row`}),o=Z(a,``,o,{flex:`none`,display:`flex`,"flex-direction":`row`,gap:`4px`,padding:`0px 4px`,"border-radius":`2px`,background:t.resolvedTheme.statusBarBackgroundColor}),d=Z(u,``,d,{flex:`none`,display:`flex`,"flex-direction":`row`,"align-items":`center`,gap:`4px`,padding:`0px 4px`,"border-radius":`2px`,background:t.resolvedTheme.statusBarBackgroundColor}),Wr(v,`${e??``} points`)},[()=>t.pointCount.toLocaleString()]),Y(e,r),et()}function Yi(e){return(t,n)=>{let r=new e(t,n);return{...r.update?{update:r.update.bind(r)}:{},...r.destroy?{destroy:r.destroy.bind(r)}:{}}}}var Xi=new WeakMap;function Zi(e){let t=typeof e==`function`?e:e.class;if(Xi.has(t))return Xi.get(t);{let e=Yi(t);return Xi.set(t,e),e}}function Qi(e,t){return typeof e==`function`?t:{...e.props??{},...t}}var $i=Rr(`<div><div></div></div>`);function ea(e,t){$e(t,!0);let n=$(t,`margin`,3,4),r,i,a=B(()=>Zi(t.customTooltip)),o=B(()=>Qi(t.customTooltip,{tooltip:t.tooltip}));ei(()=>{cr(()=>{let e=K(a),s=null;return cr(()=>{i.style.left=`0px`,i.style.top=`0px`,i.style.pointerEvents=t.allowInteraction?`all`:`none`,s==null?s=e(i,K(o)):s.update?.(K(o));function a(e,r,a,o){let s=t.location.x,c=t.location.y,l=e/2,u=r+(t.targetHeight+n());s-l<a&&(l=s-a),s-l>o-e&&(l=s-o+e),c-u<2&&(u=-(t.targetHeight+n())),i.style.left=s-l+`px`,i.style.top=c-u+`px`}let c=r.getBoundingClientRect(),{width:l,height:u}=i.getBoundingClientRect();a(l,u,2,c.width-2);let d=requestAnimationFrame(()=>{d=null;let e=i.getBoundingClientRect();(e.width!=l||e.height!=u)&&a(e.width,e.height,2,c.width-2)});return()=>{d!=null&&cancelAnimationFrame(d)}}),()=>{s?.destroy?.(),i.replaceChildren()}})});var s=$i();Z(s,``,{},{position:`absolute`,width:`100%`});var c=I(s);Z(c,``,{},{display:`flex`,position:`absolute`,width:`fit-content`,height:`fit-content`,"z-index":`100`}),Ei(c,e=>i=e,()=>i),F(s),Ei(s,e=>r=e,()=>r),Y(e,s),et()}function ta(e,t,n){e.prototype=t.prototype=n,n.constructor=e}function na(e,t){var n=Object.create(e.prototype);for(var r in t)n[r]=t[r];return n}function ra(){}var ia=.7,aa=1/ia,oa=`\\s*([+-]?\\d+)\\s*`,sa=`\\s*([+-]?(?:\\d*\\.)?\\d+(?:[eE][+-]?\\d+)?)\\s*`,ca=`\\s*([+-]?(?:\\d*\\.)?\\d+(?:[eE][+-]?\\d+)?)%\\s*`,la=/^#([0-9a-f]{3,8})$/,ua=RegExp(`^rgb\\(${oa},${oa},${oa}\\)$`),da=RegExp(`^rgb\\(${ca},${ca},${ca}\\)$`),fa=RegExp(`^rgba\\(${oa},${oa},${oa},${sa}\\)$`),pa=RegExp(`^rgba\\(${ca},${ca},${ca},${sa}\\)$`),ma=RegExp(`^hsl\\(${sa},${ca},${ca}\\)$`),ha=RegExp(`^hsla\\(${sa},${ca},${ca},${sa}\\)$`),ga={aliceblue:15792383,antiquewhite:16444375,aqua:65535,aquamarine:8388564,azure:15794175,beige:16119260,bisque:16770244,black:0,blanchedalmond:16772045,blue:255,blueviolet:9055202,brown:10824234,burlywood:14596231,cadetblue:6266528,chartreuse:8388352,chocolate:13789470,coral:16744272,cornflowerblue:6591981,cornsilk:16775388,crimson:14423100,cyan:65535,darkblue:139,darkcyan:35723,darkgoldenrod:12092939,darkgray:11119017,darkgreen:25600,darkgrey:11119017,darkkhaki:12433259,darkmagenta:9109643,darkolivegreen:5597999,darkorange:16747520,darkorchid:10040012,darkred:9109504,darksalmon:15308410,darkseagreen:9419919,darkslateblue:4734347,darkslategray:3100495,darkslategrey:3100495,darkturquoise:52945,darkviolet:9699539,deeppink:16716947,deepskyblue:49151,dimgray:6908265,dimgrey:6908265,dodgerblue:2003199,firebrick:11674146,floralwhite:16775920,forestgreen:2263842,fuchsia:16711935,gainsboro:14474460,ghostwhite:16316671,gold:16766720,goldenrod:14329120,gray:8421504,green:32768,greenyellow:11403055,grey:8421504,honeydew:15794160,hotpink:16738740,indianred:13458524,indigo:4915330,ivory:16777200,khaki:15787660,lavender:15132410,lavenderblush:16773365,lawngreen:8190976,lemonchiffon:16775885,lightblue:11393254,lightcoral:15761536,lightcyan:14745599,lightgoldenrodyellow:16448210,lightgray:13882323,lightgreen:9498256,lightgrey:13882323,lightpink:16758465,lightsalmon:16752762,lightseagreen:2142890,lightskyblue:8900346,lightslategray:7833753,lightslategrey:7833753,lightsteelblue:11584734,lightyellow:16777184,lime:65280,limegreen:3329330,linen:16445670,magenta:16711935,maroon:8388608,mediumaquamarine:6737322,mediumblue:205,mediumorchid:12211667,mediumpurple:9662683,mediumseagreen:3978097,mediumslateblue:8087790,mediumspringgreen:64154,mediumturquoise:4772300,mediumvioletred:13047173,midnightblue:1644912,mintcream:16121850,mistyrose:16770273,moccasin:16770229,navajowhite:16768685,navy:128,oldlace:16643558,olive:8421376,olivedrab:7048739,orange:16753920,orangered:16729344,orchid:14315734,palegoldenrod:15657130,palegreen:10025880,paleturquoise:11529966,palevioletred:14381203,papayawhip:16773077,peachpuff:16767673,peru:13468991,pink:16761035,plum:14524637,powderblue:11591910,purple:8388736,rebeccapurple:6697881,red:16711680,rosybrown:12357519,royalblue:4286945,saddlebrown:9127187,salmon:16416882,sandybrown:16032864,seagreen:3050327,seashell:16774638,sienna:10506797,silver:12632256,skyblue:8900331,slateblue:6970061,slategray:7372944,slategrey:7372944,snow:16775930,springgreen:65407,steelblue:4620980,tan:13808780,teal:32896,thistle:14204888,tomato:16737095,turquoise:4251856,violet:15631086,wheat:16113331,white:16777215,whitesmoke:16119285,yellow:16776960,yellowgreen:10145074};ta(ra,xa,{copy(e){return Object.assign(new this.constructor,this,e)},displayable(){return this.rgb().displayable()},hex:_a,formatHex:_a,formatHex8:va,formatHsl:ya,formatRgb:ba,toString:ba});function _a(){return this.rgb().formatHex()}function va(){return this.rgb().formatHex8()}function ya(){return Pa(this).formatHsl()}function ba(){return this.rgb().formatRgb()}function xa(e){var t,n;return e=(e+``).trim().toLowerCase(),(t=la.exec(e))?(n=t[1].length,t=parseInt(t[1],16),n===6?Sa(t):n===3?new Ea(t>>8&15|t>>4&240,t>>4&15|t&240,(t&15)<<4|t&15,1):n===8?Ca(t>>24&255,t>>16&255,t>>8&255,(t&255)/255):n===4?Ca(t>>12&15|t>>8&240,t>>8&15|t>>4&240,t>>4&15|t&240,((t&15)<<4|t&15)/255):null):(t=ua.exec(e))?new Ea(t[1],t[2],t[3],1):(t=da.exec(e))?new Ea(t[1]*255/100,t[2]*255/100,t[3]*255/100,1):(t=fa.exec(e))?Ca(t[1],t[2],t[3],t[4]):(t=pa.exec(e))?Ca(t[1]*255/100,t[2]*255/100,t[3]*255/100,t[4]):(t=ma.exec(e))?Na(t[1],t[2]/100,t[3]/100,1):(t=ha.exec(e))?Na(t[1],t[2]/100,t[3]/100,t[4]):ga.hasOwnProperty(e)?Sa(ga[e]):e===`transparent`?new Ea(NaN,NaN,NaN,0):null}function Sa(e){return new Ea(e>>16&255,e>>8&255,e&255,1)}function Ca(e,t,n,r){return r<=0&&(e=t=n=NaN),new Ea(e,t,n,r)}function wa(e){return e instanceof ra||(e=xa(e)),e?(e=e.rgb(),new Ea(e.r,e.g,e.b,e.opacity)):new Ea}function Ta(e,t,n,r){return arguments.length===1?wa(e):new Ea(e,t,n,r??1)}function Ea(e,t,n,r){this.r=+e,this.g=+t,this.b=+n,this.opacity=+r}ta(Ea,Ta,na(ra,{brighter(e){return e=e==null?aa:aa**+e,new Ea(this.r*e,this.g*e,this.b*e,this.opacity)},darker(e){return e=e==null?ia:ia**+e,new Ea(this.r*e,this.g*e,this.b*e,this.opacity)},rgb(){return this},clamp(){return new Ea(ja(this.r),ja(this.g),ja(this.b),Aa(this.opacity))},displayable(){return-.5<=this.r&&this.r<255.5&&-.5<=this.g&&this.g<255.5&&-.5<=this.b&&this.b<255.5&&0<=this.opacity&&this.opacity<=1},hex:Da,formatHex:Da,formatHex8:Oa,formatRgb:ka,toString:ka}));function Da(){return`#${Ma(this.r)}${Ma(this.g)}${Ma(this.b)}`}function Oa(){return`#${Ma(this.r)}${Ma(this.g)}${Ma(this.b)}${Ma((isNaN(this.opacity)?1:this.opacity)*255)}`}function ka(){let e=Aa(this.opacity);return`${e===1?`rgb(`:`rgba(`}${ja(this.r)}, ${ja(this.g)}, ${ja(this.b)}${e===1?`)`:`, ${e})`}`}function Aa(e){return isNaN(e)?1:Math.max(0,Math.min(1,e))}function ja(e){return Math.max(0,Math.min(255,Math.round(e)||0))}function Ma(e){return e=ja(e),(e<16?`0`:``)+e.toString(16)}function Na(e,t,n,r){return r<=0?e=t=n=NaN:n<=0||n>=1?e=t=NaN:t<=0&&(e=NaN),new Ia(e,t,n,r)}function Pa(e){if(e instanceof Ia)return new Ia(e.h,e.s,e.l,e.opacity);if(e instanceof ra||(e=xa(e)),!e)return new Ia;if(e instanceof Ia)return e;e=e.rgb();var t=e.r/255,n=e.g/255,r=e.b/255,i=Math.min(t,n,r),a=Math.max(t,n,r),o=NaN,s=a-i,c=(a+i)/2;return s?(o=t===a?(n-r)/s+(n<r)*6:n===a?(r-t)/s+2:(t-n)/s+4,s/=c<.5?a+i:2-a-i,o*=60):s=c>0&&c<1?0:o,new Ia(o,s,c,e.opacity)}function Fa(e,t,n,r){return arguments.length===1?Pa(e):new Ia(e,t,n,r??1)}function Ia(e,t,n,r){this.h=+e,this.s=+t,this.l=+n,this.opacity=+r}ta(Ia,Fa,na(ra,{brighter(e){return e=e==null?aa:aa**+e,new Ia(this.h,this.s,this.l*e,this.opacity)},darker(e){return e=e==null?ia:ia**+e,new Ia(this.h,this.s,this.l*e,this.opacity)},rgb(){var e=this.h%360+(this.h<0)*360,t=isNaN(e)||isNaN(this.s)?0:this.s,n=this.l,r=n+(n<.5?n:1-n)*t,i=2*n-r;return new Ea(za(e>=240?e-240:e+120,i,r),za(e,i,r),za(e<120?e+240:e-120,i,r),this.opacity)},clamp(){return new Ia(La(this.h),Ra(this.s),Ra(this.l),Aa(this.opacity))},displayable(){return(0<=this.s&&this.s<=1||isNaN(this.s))&&0<=this.l&&this.l<=1&&0<=this.opacity&&this.opacity<=1},formatHsl(){let e=Aa(this.opacity);return`${e===1?`hsl(`:`hsla(`}${La(this.h)}, ${Ra(this.s)*100}%, ${Ra(this.l)*100}%${e===1?`)`:`, ${e})`}`}}));function La(e){return e=(e||0)%360,e<0?e+360:e}function Ra(e){return Math.max(0,Math.min(1,e||0))}function za(e,t,n){return(e<60?t+(n-t)*e/60:e<180?n:e<240?t+(n-t)*(240-e)/60:t)*255}var Ba=[`#1f77b4`,`#ff7f0e`,`#2ca02c`,`#d62728`,`#9467bd`,`#8c564b`,`#e377c2`,`#7f7f7f`,`#bcbd22`,`#17becf`],Va=[`#1f77b4`,`#aec7e8`,`#ff7f0e`,`#ffbb78`,`#2ca02c`,`#98df8a`,`#d62728`,`#ff9896`,`#9467bd`,`#c5b0d5`,`#8c564b`,`#c49c94`,`#e377c2`,`#f7b6d2`,`#7f7f7f`,`#c7c7c7`,`#bcbd22`,`#dbdb8d`,`#17becf`,`#9edae5`];function Ha(e){if(e<1&&(e=1),e<=Ba.length)return Ba.slice(0,e);if(e<=Va.length)return Va.slice(0,e);{let t=[];for(let n=0;n<e;n++)t[n]=Va[n%Va.length];return t}}function Ua(e){let{r:t,g:n,b:r,opacity:i}=Ta(e);return{r:t/255,g:n/255,b:r/255,a:i}}function Wa(){return[1,0,0,0,1,0,0,0,1]}function Ga(e,t){return[e[0]*t[0]+e[3]*t[1]+e[6]*t[2],e[1]*t[0]+e[4]*t[1]+e[7]*t[2],e[2]*t[0]+e[5]*t[1]+e[8]*t[2],e[0]*t[3]+e[3]*t[4]+e[6]*t[5],e[1]*t[3]+e[4]*t[4]+e[7]*t[5],e[2]*t[3]+e[5]*t[4]+e[8]*t[5],e[0]*t[6]+e[3]*t[7]+e[6]*t[8],e[1]*t[6]+e[4]*t[7]+e[7]*t[8],e[2]*t[6]+e[5]*t[7]+e[8]*t[8]]}function Ka(e,t){return[t[0]*e[0]+t[3]*e[1]+t[6]*e[2],t[1]*e[0]+t[4]*e[1]+t[7]*e[2],t[2]*e[0]+t[5]*e[1]+t[8]*e[2]]}function qa(e){return e[0]*e[4]*e[8]-e[0]*e[5]*e[7]-e[1]*e[3]*e[8]+e[1]*e[5]*e[6]+e[2]*e[3]*e[7]-e[2]*e[4]*e[6]}function Ja(e){let t=qa(e);return[(e[4]*e[8]-e[5]*e[7])/t,(e[2]*e[7]-e[1]*e[8])/t,(e[1]*e[5]-e[2]*e[4])/t,(e[5]*e[6]-e[3]*e[8])/t,(e[0]*e[8]-e[2]*e[6])/t,(e[2]*e[3]-e[0]*e[5])/t,(e[3]*e[7]-e[4]*e[6])/t,(e[1]*e[6]-e[0]*e[7])/t,(e[0]*e[4]-e[1]*e[3])/t]}var Ya=class{viewport;width;height;_matrix=[0,0,0,0,0,0,0,0,0];_pixel_kx=0;_pixel_bx=0;_pixel_ky=0;_pixel_by=0;constructor(e,t,n){this.viewport=e,this.width=t,this.height=n,this.updateCoefficients()}update(e,t,n){this.viewport=e,this.width=t,this.height=n,this.updateCoefficients()}updateCoefficients(){let{x:e,y:t,scale:n}=this.viewport,r=n,i=n;this.width<this.height?r*=this.height/this.width:i*=this.width/this.height,this._matrix=[r,0,0,0,i,0,-e*r,-t*i,1],this._pixel_kx=this._matrix[0]*this.width/2,this._pixel_bx=(this._matrix[6]+1)*this.width/2,this._pixel_ky=-this._matrix[4]*this.height/2,this._pixel_by=(-this._matrix[7]+1)*this.height/2}matrix(){return this._matrix}scale(){return Math.abs(this._pixel_kx)}pixelLocation(e,t){return{x:e*this._pixel_kx+this._pixel_bx,y:t*this._pixel_ky+this._pixel_by}}coordinateAtPixel(e,t){return{x:(e-this._pixel_bx)/this._pixel_kx,y:(t-this._pixel_by)/this._pixel_ky}}pixelLocationFunction(){let e=this._pixel_kx,t=this._pixel_ky,n=this._pixel_bx,r=this._pixel_by;return(i,a)=>({x:i*e+n,y:a*t+r})}coordinateAtPixelFunction(){let e=this._pixel_kx,t=this._pixel_ky,n=this._pixel_bx,r=this._pixel_by;return(i,a)=>({x:(i-n)/e,y:(a-r)/t})}},Xa=class{_needsRun=!0;_inputs=new Set;_targets=new Set;constructor(e=[]){this._inputs=new Set(e);for(let e of this._inputs)e._targets.add(this)}addInput(e){this._inputs.add(e),e._targets.add(this)}removeInput(e){e._targets.delete(this),this._inputs.delete(e)}run(){if(this._needsRun){for(let e of this._inputs)e.run();this.update(),this._needsRun=!1}}setNeedsRunDownstream(){for(let e of this._targets)e._needsRun||(e._needsRun=!0,e.setNeedsRunDownstream())}update(){}destroy(){for(let e of this._inputs)e._targets.delete(this)}},Za=class extends Xa{_value=null;setValue(e){this._value!==e&&(this._value=e,this.setNeedsRunDownstream())}get value(){return this.run(),this._value}},Qa=class extends Za{constructor(e){super([]),this.setValue(e)}get value(){return super.value}set value(e){this.setValue(e)}},$a=class extends Za{fn;constructor(e,t){super(t),this.fn=e}update(){this.setValue(this.fn())}},eo=class extends Za{fn;state;constructor(e,t){super(t),this.fn=e,this.state={}}update(){this.setValue(this.fn(this.state))}destroy(){super.destroy(),this.state.destroy&&this.state.destroy(),this.state={}}},to=class extends Za{parent;condition;buildTrue;buildFalse;context=null;currentCondition=null;currentNode=null;constructor(e,t,n,r){super([t]),this.parent=e,this.condition=t,this.buildTrue=n,this.buildFalse=r}update(){(this.currentNode==null||this.currentCondition!==this.condition.value)&&(this.currentNode&&this.removeInput(this.currentNode),this.context?.destroy(),this.context=new io(this.parent),this.currentCondition=this.condition.value,this.currentNode=this.currentCondition?this.buildTrue(this.context):this.buildFalse(this.context),this.addInput(this.currentNode)),this.setValue(this.currentNode.value)}destroy(){super.destroy(),this.context?.destroy()}},no=class extends Za{parent;input;build;cache;constructor(e,t,n){super([t]),this.parent=e,this.input=t,this.build=n,this.cache=new Map}update(){let e=new Set,t=this.input.value.map(t=>{if(e.add(t),this.cache.has(t)){let e=this.cache.get(t);return e.input.value=t,e.output.value}{let e=new io(this.parent),n=new Qa(t),r=this.build(e,n);return this.cache.set(t,{context:e,input:n,output:r}),this.addInput(r),r.value}});for(let[t,n]of this.cache)e.has(t)||(this.cache.delete(t),this.removeInput(n.output),n.context.destroy());this.setValue(t)}destroy(){super.destroy();for(let e of this.cache.values())e.context.destroy()}},ro=class extends Za{parent;input;cases;currentCase=null;currentNode=null;currentContext=null;constructor(e,t,n){super([t]),this.parent=e,this.input=t,this.cases=n}update(){(this.currentNode==null||this.input.value!==this.currentCase)&&(this.currentNode&&this.removeInput(this.currentNode),this.currentContext?.destroy(),this.currentContext=new io(this.parent),this.currentCase=this.input.value,this.currentNode=this.cases[this.currentCase](this.currentContext),this.addInput(this.currentNode)),this.setValue(this.currentNode.value)}destroy(){super.destroy(),this.currentContext?.destroy()}},io=class e{_children;_nodes;constructor(e=null){this._children=new Set,this._nodes=new Set,e?._children.add(this)}destroy(){for(let e of this._children)e.destroy();for(let e of this._nodes)e.destroy();this._children.clear(),this._nodes.clear()}value(e){let t=new Qa(e);return this._nodes.add(t),t}derive(e,t){let n=e.map(e=>e instanceof Xa?e:this.value(e)),r=new $a(()=>t(...n.map(e=>e.value)),n);return this._nodes.add(r),r}statefulDerive(e,t){let n=e.map(e=>e instanceof Xa?e:this.value(e)),r=new eo(e=>t(e,...n.map(e=>e.value)),n);return this._nodes.add(r),r}if(e,t,n){let r=new to(this,e,t,n);return this._nodes.add(r),r}switch(e,t){let n=new ro(this,e,t);return this._nodes.add(n),n}map(e,t){let n=new no(this,e,t);return this._nodes.add(n),n}assertNotNull(e){return e}subgraph(){return new e(this)}};function ao(e,t,n,r){if(e.program==null||e.vsSource!=n||e.fsSource!=r){e.destroy&&e.destroy();let a=oo(t,t.VERTEX_SHADER,n),o=oo(t,t.FRAGMENT_SHADER,r),s=t.createProgram();if(t.attachShader(s,a),t.attachShader(s,o),t.linkProgram(s),!t.getProgramParameter(s,t.LINK_STATUS)){var i=t.getProgramInfoLog(s);throw Error(`failed to link program: ${i}, vertex source: ${n}, fragment source: ${r}`)}e.program=s,e.vsSource=n,e.fsSource=r,e.destroy=()=>{t.deleteProgram(s),t.deleteShader(a),t.deleteShader(o)},e.uniforms={};for(let i of(n+r).matchAll(/uniform +[0-9a-zA-Z_]+ +([0-9a-zA-Z_]+) *(;|\[)/g)){let n=i[1];e.uniforms[n]=t.getUniformLocation(s,n)}}return{program:e.program,uniforms:e.uniforms??{}}}function oo(e,t,n){let r=e.createShader(t);if(e.shaderSource(r,n),e.compileShader(r),!e.getShaderParameter(r,e.COMPILE_STATUS)){var i=e.getShaderInfoLog(r);throw Error(`failed to compile shader: ${i}, source: ${n}`)}return r}function so(e,t,n,r){if(e.buffer==null){let n=t.createBuffer();e.buffer=n,e.destroy=()=>{t.deleteBuffer(n)}}if(e.data!==n){if(e.data=n,t.bindBuffer(t.ARRAY_BUFFER,e.buffer),n instanceof Array)switch(r??`f32`){case`f32`:t.bufferData(t.ARRAY_BUFFER,new Float32Array(n),t.STATIC_DRAW);break;case`i32`:t.bufferData(t.ARRAY_BUFFER,new Int32Array(n),t.STATIC_DRAW);break;case`u32`:t.bufferData(t.ARRAY_BUFFER,new Uint32Array(n),t.STATIC_DRAW);break;case`i16`:t.bufferData(t.ARRAY_BUFFER,new Int16Array(n),t.STATIC_DRAW);break;case`u16`:t.bufferData(t.ARRAY_BUFFER,new Uint16Array(n),t.STATIC_DRAW);break;case`i8`:t.bufferData(t.ARRAY_BUFFER,new Int8Array(n),t.STATIC_DRAW);break;case`u8`:t.bufferData(t.ARRAY_BUFFER,new Uint8Array(n),t.STATIC_DRAW);break;default:throw Error(`invalid type`)}else t.bufferData(t.ARRAY_BUFFER,n,t.STATIC_DRAW);t.bindBuffer(t.ARRAY_BUFFER,null)}return e.buffer}function co(e,t,n,r,i){let[a,o,s]={u8:{1:[e.R8,e.RED,e.UNSIGNED_BYTE],2:[e.RG8,e.RG,e.UNSIGNED_BYTE],3:[e.RGB8,e.RGB,e.UNSIGNED_BYTE],4:[e.RGBA8,e.RGBA,e.UNSIGNED_BYTE]},u16:{1:[e.R8,e.RED,e.UNSIGNED_SHORT],2:[e.RG8,e.RG,e.UNSIGNED_SHORT],3:[e.RGB8,e.RGB,e.UNSIGNED_SHORT],4:[e.RGBA8,e.RGBA,e.UNSIGNED_SHORT]},u32:{1:[e.R8,e.RED,e.UNSIGNED_INT],2:[e.RG8,e.RG,e.UNSIGNED_INT],3:[e.RGB8,e.RGB,e.UNSIGNED_INT],4:[e.RGBA8,e.RGBA,e.UNSIGNED_INT]},f32:{1:[e.R32F,e.RED,e.FLOAT],2:[e.RG32F,e.RG,e.FLOAT],3:[e.RGB32F,e.RGB,e.FLOAT],4:[e.RGBA32F,e.RGBA,e.FLOAT]}}[i][r];e.texImage2D(e.TEXTURE_2D,0,a,t,n,0,o,s,null),e.texParameteri(e.TEXTURE_2D,e.TEXTURE_MIN_FILTER,e.LINEAR),e.texParameteri(e.TEXTURE_2D,e.TEXTURE_MAG_FILTER,e.LINEAR),e.texParameteri(e.TEXTURE_2D,e.TEXTURE_WRAP_S,e.CLAMP_TO_EDGE),e.texParameteri(e.TEXTURE_2D,e.TEXTURE_WRAP_T,e.CLAMP_TO_EDGE)}function lo(e,t,n,r,i,a){if(e.framebuffer==null||e.texture==null){let n=t.createFramebuffer(),r=t.createTexture();t.bindFramebuffer(t.FRAMEBUFFER,n),t.bindTexture(t.TEXTURE_2D,r),t.framebufferTexture2D(t.FRAMEBUFFER,t.COLOR_ATTACHMENT0,t.TEXTURE_2D,r,0),t.bindTexture(t.TEXTURE_2D,null),t.bindFramebuffer(t.FRAMEBUFFER,null),e.framebuffer=n,e.texture=r,e.destroy=()=>{t.deleteFramebuffer(n),t.deleteTexture(r)}}let o=`${n},${r},${i},${a}`;return e.cacheKey!=o&&(e.cacheKey=o,t.bindTexture(t.TEXTURE_2D,e.texture),co(t,n,r,i,a),t.bindTexture(t.TEXTURE_2D,null)),{framebuffer:e.framebuffer,texture:e.texture,width:n,height:r}}function uo(e){let t=e.squareMaxSize,n=e.samples;return{vertex:`#version 300 es
    precision highp float;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
  `,fragment1:`#version 300 es
    precision highp float;
    uniform sampler2D image;
    uniform vec2 resolution;
    uniform vec2 direction;
    in vec2 uv;
    out vec4 outColor;
    void main() {
      vec4 color = vec4(0.0);
      const int count = ${t};
      int i = -count;
      while(i + 1 <= count) {
        color += texture(image, uv + direction * (float(i) + 0.5) / resolution) * 2.0;
        i += 2;
      }
      if (i <= count) {
        color += texture(image, uv + direction * float(count) / resolution);
      }
      outColor = color;
    }
  `,fragment2:`#version 300 es
    precision highp float;
    uniform sampler2D image;
    uniform sampler2D imageBox;
    uniform vec2 resolution;
    uniform float scaler;
    in vec2 uv;
    out vec4 outColor;

    void main() {
      vec4 color = texture(imageBox, uv);
      if (color != vec4(0.0)) {
        ${n.map(({x:e,y:t,w:n})=>`color -= texture(image, uv + vec2(${e.toFixed(8)}, ${t.toFixed(8)}) / resolution) * (${n.toFixed(8)})`).join(`;`)};
      }
      outColor = color * scaler;
    }
  `}}function fo(e,t,n){let r=e.derive([n],mo),i=e.derive([r],uo),a=e.statefulDerive([t,e.derive([i],e=>e.vertex),e.derive([i],e=>e.fragment1)],ao),o=e.statefulDerive([t,e.derive([i],e=>e.vertex),e.derive([i],e=>e.fragment2)],ao),s=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,s,a,o,n,r],(e,t,n,r,i,a)=>(o,s,c)=>{let{width:l,height:u}=s;e.disable(e.BLEND),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,t),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.useProgram(n.program),e.uniform2f(n.uniforms.resolution,l,u),e.uniform1i(n.uniforms.image,0),e.bindFramebuffer(e.FRAMEBUFFER,s.framebuffer),e.bindTexture(e.TEXTURE_2D,o),e.uniform2f(n.uniforms.direction,0,1),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.bindFramebuffer(e.FRAMEBUFFER,c.framebuffer),e.bindTexture(e.TEXTURE_2D,s.texture),e.uniform2f(n.uniforms.direction,1,0),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.bindFramebuffer(e.FRAMEBUFFER,s.framebuffer),e.activeTexture(e.TEXTURE1),e.bindTexture(e.TEXTURE_2D,c.texture),e.activeTexture(e.TEXTURE0),e.bindTexture(e.TEXTURE_2D,o),e.useProgram(r.program),e.uniform2f(r.uniforms.resolution,l,u),e.uniform1i(r.uniforms.image,0),e.uniform1i(r.uniforms.imageBox,1);let d=1/a.totalWeight*i*i*Math.PI;e.uniform1f(r.uniforms.scaler,d),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.bindFramebuffer(e.FRAMEBUFFER,null),e.useProgram(null),e.activeTexture(e.TEXTURE1),e.bindTexture(e.TEXTURE_2D,null),e.activeTexture(e.TEXTURE0),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}function po(e,t,n){let r=Math.sqrt(t*t+n*n);if(r<e-Math.sqrt(2)/2)return 1;if(r>e+Math.sqrt(2)/2)return 0;let i=0;for(let r=0;r<2;r++)for(let a=0;a<2;a++){let o=t+(r+.5)/2-.5,s=n+(a+.5)/2-.5;Math.sqrt(o*o+s*s)<e&&(i+=1)}return i/2/2}function mo(e){let t=Math.floor(e+.5),n=t,r=po(e,0,0),i=[];for(let n=-t;n<=t;n++)for(let a=-t;a<=t;a++){let t=r-po(e,n,a);if(!(t<=0)){if(i.length>0&&n==i[i.length-1].x&&a==i[i.length-1].y+1){let e=i[i.length-1].w,n=t;i[i.length-1].y+=1-e/(e+n),i[i.length-1].w=e+n}else i.push({x:n,y:a,w:t})}}i=i.sort((e,t)=>e.y==t.y?e.x-t.x:e.y-t.y);let a=[];for(let{x:e,y:t,w:n}of i)if(a.length>0&&t==a[a.length-1].y&&e==a[a.length-1].x+1){let e=a[a.length-1].w,t=n;a[a.length-1].x+=1-e/(e+t),a[a.length-1].w=e+t}else a.push({x:e,y:t,w:n});let o=-a.reduce((e,t)=>e+t.w,0);return o+=r*(1+n*2)*(1+n*2),{squareMaxSize:n,squareWeight:r,samples:a,totalWeight:o}}function ho(e){let t;return t=e?`#version 300 es
      precision highp float;
      uniform mat3 matrix;
      layout(location=0) in float x;
      layout(location=1) in float y;
      layout(location=2) in int category;
      out vec4 color;
      void main() {
        gl_Position = vec4(matrix * vec3(x, y, 1), 1);
        if (category == 0) {
          color = vec4(1, 0, 0, 0);
        } else if (category == 1) {
          color = vec4(0, 1, 0, 0);
        } else if (category == 2) {
          color = vec4(0, 0, 1, 0);
        } else if (category == 3) {
          color = vec4(0, 0, 0, 1);
        }
        gl_PointSize = 1.0;
      }
    `:`#version 300 es
      precision highp float;
      uniform mat3 matrix;
      layout(location=0) in float x;
      layout(location=1) in float y;
      out vec4 color;
      void main() {
        gl_Position = vec4(matrix * vec3(x, y, 1), 1);
        color = vec4(1, 0, 0, 0);
        gl_PointSize = 1.0;
      }
    `,{vertex:t,fragment:`#version 300 es
    precision highp float;
    in vec4 color;
    out vec4 outColor;
    void main() {
      outColor = color;
    }
  `}}function go(e,t,n,r,i,a){let o=ho(i!=null),s=e.statefulDerive([t,o.vertex,o.fragment],ao);return e.derive([t,s,n,r,i,a],(e,t,n,r,i,a)=>o=>{e.enable(e.BLEND),e.blendFunc(e.ONE,e.ONE),e.useProgram(t.program),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,n),e.vertexAttribPointer(0,1,e.FLOAT,!1,0,0),e.enableVertexAttribArray(1),e.bindBuffer(e.ARRAY_BUFFER,r),e.vertexAttribPointer(1,1,e.FLOAT,!1,0,0),i!=null&&(e.enableVertexAttribArray(2),e.bindBuffer(e.ARRAY_BUFFER,i),e.vertexAttribIPointer(2,1,e.BYTE,0,0)),e.bindBuffer(e.ARRAY_BUFFER,null),e.uniformMatrix3fv(t.uniforms.matrix,!1,o),e.drawArrays(e.POINTS,0,a),e.disableVertexAttribArray(0),e.disableVertexAttribArray(1),i!=null&&e.disableVertexAttribArray(2),e.useProgram(null)})}function _o(){return{vertex:`#version 300 es
    precision highp float;
    uniform vec2 xyScaler;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy * xyScaler, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
  `,fragment:`#version 300 es
    precision highp float;
    uniform sampler2D source;
    uniform float gamma;
    in vec2 uv;
    out vec4 outColor;
    void main() {
      vec4 color = texture(source, uv);
      color.rgb = pow(color.rgb, vec3(1.0 / gamma));
      outColor = color;
    }
  `}}function vo(e,t){let{vertex:n,fragment:r}=_o(),i=e.statefulDerive([t,n,r],ao),a=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,i,a],(e,t,n)=>(r,i,a,o)=>{e.disable(e.BLEND),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,n),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.bindTexture(e.TEXTURE_2D,r),e.useProgram(t.program),e.uniform1i(t.uniforms.source,0),e.uniform2f(t.uniforms.xyScaler,a??1,o??1),e.uniform1f(t.uniforms.gamma,i??2.2),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.useProgram(null),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}function yo(e){return Math.ceil(e*3)}function bo(e){let t=yo(e),n=[];for(let r=-t;r<=t;r++)n.push(Math.exp(-r*r/e/e/2));let r=n.reduce((e,t)=>e+t,0);return n=n.map(e=>e/r),{vertex:`#version 300 es
    precision highp float;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
  `,fragment:`#version 300 es
    precision highp float;
    uniform sampler2D image;
    uniform vec2 resolution;
    uniform vec2 direction;
    in vec2 uv;
    out vec4 outColor;

    void main() {
      vec4 color = vec4(0.0);
      ${So(n).map(([e,n])=>[e-t,n]).map(([e,t])=>`color += texture(image, uv + direction * vec2(${e.toFixed(10)}) / resolution) * ${t.toFixed(10)};`).join(`
`)}
      outColor = color;
    }
  `}}function xo(e,t,n){let r=e.derive([n],bo),i=e.statefulDerive([t,e.derive([r],e=>e.vertex),e.derive([r],e=>e.fragment)],ao),a=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,a,i,n],(e,t,n,r)=>(r,i,a)=>{let{width:o,height:s}=i;e.disable(e.BLEND),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,t),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.useProgram(n.program),e.uniform2f(n.uniforms.resolution,o,s),e.uniform1i(n.uniforms.image,0),e.bindFramebuffer(e.FRAMEBUFFER,a.framebuffer),e.bindTexture(e.TEXTURE_2D,r),e.uniform2f(n.uniforms.direction,0,1),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.bindFramebuffer(e.FRAMEBUFFER,i.framebuffer),e.bindTexture(e.TEXTURE_2D,a.texture),e.uniform2f(n.uniforms.direction,1,0),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.bindFramebuffer(e.FRAMEBUFFER,null),e.useProgram(null),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}function So(e){let t=[];for(let n=0;n<e.length;n+=2)if(n+1<e.length){let r=e[n],i=e[n+1],a=1-r/(r+i);if(a>=0&&a<=1){let e=r+i;e!=0&&t.push([n+a,e])}else t.push([n,e[n]]),t.push([n+1,e[n+1]])}else t.push([n,e[n]]);return t}function Co(e){return Math.ceil(e*3)}function wo(){return{vertex:`#version 300 es
    precision highp float;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
  `,fragment:`#version 300 es
    precision highp float;
    uniform sampler2D image;
    uniform vec2 resolution;
    uniform vec2 direction;
    in vec2 uv;
    out vec4 outColor;

    uniform float weight0;
    uniform vec3 distances;
    uniform vec3 weights;

    void main() {
      vec4 color = texture(image, uv) * weight0;
      if (weights.x != 0.0) {
        color += texture(image, uv + direction * vec2(distances.x) / resolution) * weights.x;
        color += texture(image, uv - direction * vec2(distances.x) / resolution) * weights.x;
      }
      if (weights.y != 0.0) {
        color += texture(image, uv + direction * vec2(distances.y) / resolution) * weights.y;
        color += texture(image, uv - direction * vec2(distances.y) / resolution) * weights.y;
      }
      if (weights.z != 0.0) {
        color += texture(image, uv + direction * vec2(distances.z) / resolution) * weights.z;
        color += texture(image, uv - direction * vec2(distances.z) / resolution) * weights.z;
      }
      outColor = color;
    }
  `}}function To(e,t,n){let{vertex:r,fragment:i}=wo(),a=e.statefulDerive([t,r,i],ao),o=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,o,a],(e,t,n)=>(r,i,a)=>{let{width:o,height:s}=i;e.disable(e.BLEND),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,t),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.useProgram(n.program),e.uniform2f(n.uniforms.resolution,o,s),e.uniform1i(n.uniforms.image,0);let c=r,l=a,u=i;for(let t=0;t<2;t++){e.uniform2f(n.uniforms.direction,t,1-t);for(let[t,r,i]of Eo){e.bindFramebuffer(e.FRAMEBUFFER,l.framebuffer),e.bindTexture(e.TEXTURE_2D,c),e.uniform1fv(n.uniforms.weight0,r),e.uniform3fv(n.uniforms.distances,t),e.uniform3fv(n.uniforms.weights,i),e.drawArrays(e.TRIANGLE_STRIP,0,4),c=l.texture;let a=l;l=u,u=a}}e.bindFramebuffer(e.FRAMEBUFFER,null),e.useProgram(null),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}var Eo=[[[1,2,3],[.2288468365182578],[.18230006506971572,.1356122230111784,.06766429365997693]],[[2,6,10],[.09116254014100238],[.23317759354726447,.18385867277788717,.03738246360434722]],[[3,10,20],[.2950645715317288],[.010918865853671198,.23773695670296047,.10381189167750389]],[[4,16,30],[.20085957073474772],[.14463019087130788,.17934533765938643,.07559468610193185]]];function Do(){return{vertex:`#version 300 es
    precision highp float;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
  `,fragment:`#version 300 es
    precision highp float;
    uniform sampler2D source;
    uniform vec2 resolution;
    uniform float densityScaler;
    uniform float quantizationStep;
    uniform vec4 channelMask;
    uniform vec4 color;
    uniform float globalAlpha;

    in vec2 uv;
    out vec4 outColor;

    float sample_density(vec2 uv) {
      float d = dot(texture(source, uv), channelMask) * densityScaler;
      d = min(1.0, max(0.0, d));
      d = floor(d / quantizationStep);
      return d;
    }

    void main() {
      // Run the Sobel operator.
      float v = sample_density(uv);
      float v11 = sample_density(uv + vec2(-1, -1) / resolution);
      float v12 = sample_density(uv + vec2(-1,  0) / resolution);
      float v13 = sample_density(uv + vec2(-1, +1) / resolution);
      float v21 = sample_density(uv + vec2( 0, -1) / resolution);
      float v23 = sample_density(uv + vec2( 0, +1) / resolution);
      float v31 = sample_density(uv + vec2(+1, -1) / resolution);
      float v32 = sample_density(uv + vec2(+1,  0) / resolution);
      float v33 = sample_density(uv + vec2(+1, +1) / resolution);
      float gx = v11 + v12 * 2.0 + v13 - v31 - v32 * 2.0 - v33;
      float gy = v11 + v21 * 2.0 + v31 - v13 - v23 * 2.0 - v33;
      // Derive alpha value from the result.
      float alpha = length(vec2(gx, gy)) * 0.2;
      alpha = min(1.0, max(0.0, alpha));
      outColor = color * alpha * globalAlpha;
    }
  `}}function Oo(e,t){let{vertex:n,fragment:r}=Do(),i=e.statefulDerive([t,n,r],ao),a=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,i,a],(e,t,n)=>(r,i,a,o,s,c)=>{e.enable(e.BLEND),e.blendFunc(e.ONE,e.ONE_MINUS_SRC_ALPHA),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,n),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.bindTexture(e.TEXTURE_2D,r.texture),e.useProgram(t.program),e.uniform1i(t.uniforms.source,0),e.uniform2f(t.uniforms.resolution,r.width,r.height),e.uniform1f(t.uniforms.densityScaler,i),e.uniform1f(t.uniforms.quantizationStep,a),e.uniform1f(t.uniforms.globalAlpha,o),e.uniform4fv(t.uniforms.channelMask,s),e.uniform4fv(t.uniforms.color,c),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.useProgram(null),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}function ko(){return{vertex:`#version 300 es
    precision highp float;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
    `,fragment:`#version 300 es
    precision highp float;
    uniform sampler2D source;
    uniform vec2 resolution;
    uniform float densityScaler;
    uniform float quantizationStep;

    uniform mat4 colorMatrix;
    uniform int isDarkMode;
    uniform float globalAlpha;

    in vec2 uv;
    out vec4 outColor;

    /* Combine alphas with symmetric blending equation f(a, b) = a + b - ab. */
    float combine_alphas(vec4 alphas) {
      float r = alphas.x + alphas.y - alphas.x * alphas.y;
      r = r + alphas.z - r * alphas.z;
      r = r + alphas.w - r * alphas.w;
      return r;
    }

    void main() {
      vec4 density = texture(source, uv) * densityScaler;

      if (density.x > 1.0 || density.y > 1.0 || density.z > 1.0 || density.w > 1.0) {
        density = density / max(max(max(density.x, density.y), density.z), density.w);
      } else {
        density = floor(density / quantizationStep) * quantizationStep;
      }

      if (density.x + density.y + density.z + density.w == 0.0) {
        discard;
      }

      float alpha = combine_alphas(density);

      density *= alpha / (density.x + density.y + density.z + density.w);

      vec3 c1 = colorMatrix[0].rgb * density.x;
      vec3 c2 = colorMatrix[1].rgb * density.y;
      vec3 c3 = colorMatrix[2].rgb * density.z;
      vec3 c4 = colorMatrix[3].rgb * density.w;
      vec3 c;

      if (isDarkMode == 0) {
        c = vec3(1.0) - alpha + c1 + c2 + c3 + c4;
      } else {
        c = c1 + c2 + c3 + c4;
      }

      outColor = vec4(c, 1.0) * alpha * globalAlpha;
    }
  `}}function Ao(e,t){let{vertex:n,fragment:r}=ko(),i=e.statefulDerive([t,n,r],ao),a=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,i,a],(e,t,n)=>(r,i,a,o,s,c)=>{e.enable(e.BLEND),e.blendFunc(e.ONE,e.ONE_MINUS_SRC_ALPHA),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,n),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.bindTexture(e.TEXTURE_2D,r.texture),e.useProgram(t.program),e.uniform1i(t.uniforms.source,0),e.uniform2f(t.uniforms.resolution,r.width,r.height),e.uniform1f(t.uniforms.densityScaler,i),e.uniform1f(t.uniforms.quantizationStep,a),e.uniform1f(t.uniforms.globalAlpha,o),e.uniform1i(t.uniforms.isDarkMode,+(c==`dark`)),e.uniformMatrix4fv(t.uniforms.colorMatrix,!1,s),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.useProgram(null),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}function jo(e){let t;return t=e?`#version 300 es
      precision highp float;
      uniform mat3 matrix;
      uniform float point_size;
      uniform float alpha;
      uniform vec4 colorScheme[64];

      layout(location=0) in float x;
      layout(location=1) in float y;
      layout(location=2) in int category;

      out vec4 color;

      void main() {
        gl_Position = vec4(matrix * vec3(x, y, 1), 1);
        if (category < 64) {
          color = colorScheme[category];
        } else {
          color = vec4(0.5, 0.5, 0.5, 1);
        }
        color *= alpha;
        gl_PointSize = point_size;
      }
    `:`#version 300 es
      precision highp float;
      uniform mat3 matrix;
      uniform float point_size;
      uniform vec4 colorScheme;
      uniform float alpha;

      layout(location=0) in float x;
      layout(location=1) in float y;

      out vec4 color;

      void main() {
        gl_Position = vec4(matrix * vec3(x, y, 1), 1);
        color = colorScheme;
        color *= alpha;
        gl_PointSize = point_size;
      }
    `,{vertex:t,fragment:`#version 300 es
    precision highp float;
    uniform float point_size;
    in vec4 color;
    out vec4 outColor;
    void main() {
      float r = length(gl_PointCoord.xy - vec2(0.5, 0.5)) * point_size;
      float a = max(0.0, min(1.0, point_size / 2.0 - r));
      outColor = color * a;
    }
  `}}function Mo(e,t,n,r,i,a){let o=i!=null,s=jo(o),c=e.statefulDerive([t,s.vertex,s.fragment],ao);return e.derive([t,c,n,r,i,a],(e,t,n,r,i,a)=>(s,c,l,u)=>{e.enable(e.BLEND),e.blendFunc(e.ONE,e.ONE_MINUS_SRC_ALPHA),e.useProgram(t.program),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,n),e.vertexAttribPointer(0,1,e.FLOAT,!1,0,0),e.enableVertexAttribArray(1),e.bindBuffer(e.ARRAY_BUFFER,r),e.vertexAttribPointer(1,1,e.FLOAT,!1,0,0),i!=null&&(e.enableVertexAttribArray(2),e.bindBuffer(e.ARRAY_BUFFER,i),e.vertexAttribIPointer(2,1,e.BYTE,0,0)),e.bindBuffer(e.ARRAY_BUFFER,null),e.uniformMatrix3fv(t.uniforms.matrix,!1,s),e.uniform1f(t.uniforms.point_size,c*2),e.uniform1f(t.uniforms.alpha,l),o?e.uniform4fv(t.uniforms.colorScheme,u):e.uniform4fv(t.uniforms.colorScheme,u.slice(0,4)),e.drawArrays(e.POINTS,0,a),e.disableVertexAttribArray(0),e.disableVertexAttribArray(1),i!=null&&e.disableVertexAttribArray(2),e.useProgram(null)})}function No(){return{vertex:`#version 300 es
    precision highp float;
    layout(location=0) in vec2 xy;
    out vec2 uv;
    void main() {
      gl_Position = vec4(xy, 0, 1);
      uv = (xy + 1.0) / 2.0;
    }
  `,fragment:`#version 300 es
    precision highp float;
    uniform sampler2D source;
    uniform vec2 resolution;
    uniform mat4 colorMatrix;
    uniform float pointAlpha;
    uniform float globalAlpha;
    uniform int isDarkMode;
    in vec2 uv;
    out vec4 outColor;

    /* Combine alphas with symmetric blending equation f(a, b) = a + b - ab. */
    float combine_alphas(vec4 alphas) {
      float r = alphas.x + alphas.y - alphas.x * alphas.y;
      r = r + alphas.z - r * alphas.z;
      r = r + alphas.w - r * alphas.w;
      return r;
    }

    void main() {
      vec4 count = texture(source, uv);
      vec4 alphas = pointAlpha >= 0.999
        ? vec4(count.x > 0.0 ? 1.0 : 0.0, count.y > 0.0 ? 1.0 : 0.0, count.z > 0.0 ? 1.0 : 0.0, count.w > 0.0 ? 1.0 : 0.0)
        : vec4(1.0) - pow(vec4(1.0 - pointAlpha), count);
      float a = combine_alphas(alphas);
      if (a <= 0.0) { discard; }
      alphas *= a / (alphas.x + alphas.y + alphas.z + alphas.w);

      vec3 c1 = colorMatrix[0].rgb * alphas.x;
      vec3 c2 = colorMatrix[1].rgb * alphas.y;
      vec3 c3 = colorMatrix[2].rgb * alphas.z;
      vec3 c4 = colorMatrix[3].rgb * alphas.w;
      vec3 c;
      if (isDarkMode == 0) {
        c = vec3(1.0) - a + c1 + c2 + c3 + c4;
      } else {
        c = c1 + c2 + c3 + c4;
      }
      outColor = vec4(c, 1.0) * a * globalAlpha;
    }
  `}}function Po(e,t){let{vertex:n,fragment:r}=No(),i=e.statefulDerive([t,n,r],ao),a=e.statefulDerive([t,[-1,-1,-1,1,1,-1,1,1],`f32`],so);return e.derive([t,i,a],(e,t,n)=>(r,i,a,o,s)=>{e.enable(e.BLEND),e.blendFunc(e.ONE,e.ONE_MINUS_SRC_ALPHA),e.enableVertexAttribArray(0),e.bindBuffer(e.ARRAY_BUFFER,n),e.vertexAttribPointer(0,2,e.FLOAT,!1,0,0),e.bindBuffer(e.ARRAY_BUFFER,null),e.bindTexture(e.TEXTURE_2D,r.texture),e.useProgram(t.program),e.uniform1i(t.uniforms.source,0),e.uniform2f(t.uniforms.resolution,r.width,r.height),e.uniform1f(t.uniforms.pointAlpha,i),e.uniform1f(t.uniforms.globalAlpha,a),e.uniform1i(t.uniforms.isDarkMode,+(s==`dark`)),e.uniformMatrix4fv(t.uniforms.colorMatrix,!1,o),e.drawArrays(e.TRIANGLE_STRIP,0,4),e.useProgram(null),e.bindTexture(e.TEXTURE_2D,null),e.disableVertexAttribArray(0)})}var Fo=class{props;viewport;df;gl;renderInputs;dataBuffers;renderer;constructor(e,t,n){this.props={mode:`points`,colorScheme:`light`,x:new Float32Array,y:new Float32Array,category:null,categoryCount:1,categoryColors:null,viewportX:0,viewportY:0,viewportScale:1,pointSize:1,pointAlpha:1,pointsAlpha:1,densityScaler:1,densityBandwidth:1,densityQuantizationStep:.1,contoursAlpha:1,densityAlpha:1,gamma:2.2,width:t,height:n,downsampleMaxPoints:4e6,downsampleDensityWeight:5},this.viewport=new Ya({x:0,y:0,scale:1},t,n);let r=new io,i=r.value(e);this.df=r,this.gl=i,this.renderInputs={mode:r.value(this.props.mode),colorScheme:r.value(this.props.colorScheme),xData:r.value(this.props.x),yData:r.value(this.props.y),categoryData:r.value(this.props.category),categoryCount:r.value(this.props.categoryCount),matrix:r.value(Wa()),width:r.value(t),height:r.value(n),pointSize:r.value(this.props.pointSize),densityBandwidth:r.value(this.props.densityBandwidth),downsampleMaxPoints:r.value(this.props.downsampleMaxPoints),downsampleDensityWeight:r.value(this.props.downsampleDensityWeight)},this.dataBuffers=Io(r,i,this.renderInputs),this.renderer=Lo(r,i,this.renderInputs,this.dataBuffers)}setProps(e){let t=!1,n;for(n in e)e[n]!==this.props[n]&&(this.props[n]=e[n],t=!0);return this.viewport.update({x:this.props.viewportX,y:this.props.viewportY,scale:this.props.viewportScale},this.props.width,this.props.height),this.renderInputs.mode.value=this.props.mode,this.renderInputs.colorScheme.value=this.props.colorScheme,this.renderInputs.xData.value=this.props.x,this.renderInputs.yData.value=this.props.y,this.renderInputs.categoryData.value=this.props.category,this.props.category==null?this.renderInputs.categoryCount.value=1:this.renderInputs.categoryCount.value=this.props.categoryCount,this.renderInputs.matrix.value=this.viewport.matrix(),this.renderInputs.width.value=this.props.width,this.renderInputs.height.value=this.props.height,this.renderInputs.pointSize.value=this.props.pointSize,this.renderInputs.densityBandwidth.value=this.props.densityBandwidth,this.renderInputs.downsampleMaxPoints.value=this.props.downsampleMaxPoints,this.renderInputs.downsampleDensityWeight.value=this.props.downsampleDensityWeight,t}render(){this.renderer.value(this.props)}destroy(){this.df.destroy()}async densityMap(e,t,n,r){let i=this.df.subgraph(),a=Bo(i,this.gl,this.dataBuffers,i.value(e),i.value(t),i.value(n)),{x:o,y:s,scale:c}=r,l=[c,0,0,0,c,0,-o*c,-s*c,1],u=a.value(l),d=Ja(l);return i.destroy(),{data:u,width:e,height:t,coordinateAtPixel:(n,r)=>{let i=Ka([n/e*2-1,r/t*2-1,1],d);return{x:i[0],y:i[1]}}}}};function Io(e,t,n){return{x:e.statefulDerive([t,n.xData,`f32`],so),y:e.statefulDerive([t,n.yData,`f32`],so),category:e.if(e.derive([n.categoryData],e=>e!=null),e=>e.statefulDerive([t,e.assertNotNull(n.categoryData),`u8`],so),e=>e.value(null)),count:e.derive([n.xData],e=>e.length)}}function Lo(e,t,n,r){return e.switch(n.mode,{points:e=>Ro(e,t,n,r),density:e=>zo(e,t,n,r)})}function Ro(e,t,n,r){let i=e.derive([n.categoryCount],e=>e>1),a=e.statefulDerive([t,n.width,n.height,4,`f32`],lo),o=e.if(i,e=>Mo(e,t,r.x,r.y,e.assertNotNull(r.category),r.count),e=>Mo(e,t,r.x,r.y,null,r.count)),s=vo(e,t);return e.derive([t,a,o,s,n.colorScheme,n.matrix,n.categoryCount],(e,t,n,r,i,a,o)=>s=>{let c=[],l=s.categoryColors??Ha(s.categoryCount);for(let e=0;e<o;e++)if(e<l.length){let{r:t,g:n,b:r}=Ua(l[e]);t**=+s.gamma,n**=+s.gamma,r**=+s.gamma,c=c.concat([t,n,r,1])}else c=c.concat([.5,.5,.5,1]);e.bindFramebuffer(e.FRAMEBUFFER,t.framebuffer),e.viewport(0,0,t.width,t.height),i==`light`?e.clearColor(1,1,1,1):e.clearColor(0,0,0,1),e.clear(e.COLOR_BUFFER_BIT),n(a,Math.max(3,s.pointSize),s.pointAlpha*s.pointsAlpha,c),e.bindFramebuffer(e.FRAMEBUFFER,null),e.viewport(0,0,s.width,s.height),r(t.texture,s.gamma)})}function zo(e,t,n,r){let i=e.derive([n.densityBandwidth],e=>Co(e)+1),a=e.derive([n.width,i],(e,t)=>e+t*2),o=e.derive([n.height,i],(e,t)=>e+t*2),s=e.derive([n.categoryCount],e=>e>1),c=e.statefulDerive([t,a,o,4,`f32`],lo),l=e.statefulDerive([t,a,o,4,`f32`],lo),u=e.statefulDerive([t,a,o,4,`f32`],lo),d=e.statefulDerive([t,a,o,4,`f32`],lo),f=e.if(s,e=>go(e,t,r.x,r.y,e.assertNotNull(r.category),r.count),e=>go(e,t,r.x,r.y,null,r.count)),p=fo(e,t,n.pointSize),m=To(e,t,n.densityBandwidth),h=Po(e,t),g=Ao(e,t),_=Oo(e,t),v=vo(e,t);return e.derive([t,c,l,u,d,n.colorScheme,n.matrix,f,p,m,h,g,_,v],(e,t,n,r,i,a,o,s,c,l,u,d,f,p)=>m=>{let h=m.categoryColors??Ha(m.categoryCount),g=[];for(let e=0;e<4;e++)if(e<h.length){let{r:t,g:n,b:r}=Ua(h[e]);t**=+m.gamma,n**=+m.gamma,r**=+m.gamma,g=g.concat([t,n,r,1])}else g=g.concat([.5,.5,.5,1]);let _=m.width/n.width,v=m.height/n.height,y=Ga([_,0,0,0,v,0,0,0,1],o);if(e.bindFramebuffer(e.FRAMEBUFFER,t.framebuffer),e.viewport(0,0,t.width,t.height),e.clearColor(0,0,0,0),e.clear(e.COLOR_BUFFER_BIT),s(y),e.bindFramebuffer(e.FRAMEBUFFER,n.framebuffer),e.viewport(0,0,n.width,n.height),a==`light`?e.clearColor(1,1,1,1):e.clearColor(0,0,0,1),e.clear(e.COLOR_BUFFER_BIT),m.pointAlpha>0&&m.pointsAlpha>0&&(c(t.texture,r,i),e.bindFramebuffer(e.FRAMEBUFFER,n.framebuffer),u(r,m.pointAlpha,m.pointsAlpha,g,a)),m.densityScaler>0&&(m.densityAlpha>0||m.contoursAlpha>0)&&(l(t.texture,r,i),e.bindFramebuffer(e.FRAMEBUFFER,n.framebuffer),m.densityAlpha>0&&d(r,m.densityScaler,m.densityQuantizationStep,m.densityAlpha,g,a),m.contoursAlpha>0))for(let e=0;e<h.length;e++){let t=[0,0,0,0];t[e]=1,f(r,m.densityScaler,m.densityQuantizationStep,m.contoursAlpha,t,g.slice(e*4,e*4+4))}e.bindFramebuffer(e.FRAMEBUFFER,null),e.viewport(0,0,m.width,m.height),p(n.texture,m.gamma,1/_,1/v)})}function Bo(e,t,n,r,i,a){let o=e.derive([a],e=>yo(e)+1),s=e.derive([r,o],(e,t)=>e+t*2),c=e.derive([i,o],(e,t)=>e+t*2),l=e.statefulDerive([t,s,c,1,`f32`],lo),u=e.statefulDerive([t,s,c,1,`f32`],lo),d=e.statefulDerive([t,s,c,1,`f32`],lo),f=go(e,t,n.x,n.y,null,n.count),p=xo(e,t,a);return e.derive([t,o,r,i,l,u,d,f,p],(e,t,n,r,i,a,o,s,c)=>l=>{let u=Ga([n/i.width,0,0,0,r/i.height,0,0,0,1],l);e.bindFramebuffer(e.FRAMEBUFFER,i.framebuffer),e.viewport(0,0,i.width,i.height),e.clearColor(0,0,0,0),e.clear(e.COLOR_BUFFER_BIT),s(u),c(i.texture,a,o),e.bindFramebuffer(e.FRAMEBUFFER,a.framebuffer);let d=new Float32Array(n*r);return e.readPixels(t,t,n,r,e.RED,e.FLOAT,d),e.bindFramebuffer(e.FRAMEBUFFER,null),d})}var Vo=class{i32View;u32View;f32View;offset;constructor(e){this.i32View=new Int32Array(e),this.u32View=new Uint32Array(e),this.f32View=new Float32Array(e),this.offset=0}align2(){this.offset%2!=0&&(this.offset+=2-this.offset%2)}align4(){this.offset%4!=0&&(this.offset+=4-this.offset%4)}f32(e){this.f32View[this.offset++]=e}u32(e){this.u32View[this.offset++]=e}i32(e){this.i32View[this.offset++]=e}vec2f(e,t){this.align2(),this.f32View[this.offset++]=e,this.f32View[this.offset++]=t}vec3f(e,t,n){this.align4(),this.f32View[this.offset++]=e,this.f32View[this.offset++]=t,this.f32View[this.offset++]=n}vec4f(e,t,n,r){this.align4(),this.f32View[this.offset++]=e,this.f32View[this.offset++]=t,this.f32View[this.offset++]=n,this.f32View[this.offset++]=r}mat3x3f(e){this.vec3f(e[0],e[1],e[2]),this.vec3f(e[3],e[4],e[5]),this.vec3f(e[6],e[7],e[8])}byteOffset(){return this.offset*4}};function Ho(e,t){let n=4288,r=new ArrayBuffer(n),i=e.statefulDerive([t,n,GPUBufferUsage.UNIFORM|GPUBufferUsage.COPY_DST|GPUBufferUsage.VERTEX],S);return{buffer:i,update:e.derive([t,i],(e,t)=>n=>{let i=new Vo(r);i.u32(n.count),i.u32(n.category_count),i.i32(n.framebuffer_width),i.i32(n.framebuffer_height),i.i32(n.density_width),i.i32(n.density_height),i.f32(n.gamma),i.f32(n.point_size),i.f32(n.point_alpha),i.f32(n.points_alpha),i.f32(n.density_scaler),i.f32(n.quantization_step),i.f32(n.density_alpha),i.f32(n.contours_alpha),i.mat3x3f(n.matrix),i.vec2f(...n.view_xy_scaler),i.vec4f(...n.kde_causal),i.vec4f(...n.kde_anticausal),i.vec4f(...n.kde_a),i.vec4f(...n.background_color);let a=n.gamma;for(let e=0;e<Math.min(n.category_colors.length,256);e++){let{r:t,g:r,b:o,a:s}=n.category_colors[e];t**=+a,r**=+a,o**=+a,i.vec4f(t,r,o,s)}e.queue.writeBuffer(t,0,r,0,i.byteOffset())})}}var Uo=64,Wo=64;function Go(e,t,n,r,i,a){let o=e.derive([t,n,r.layouts],(e,t,n)=>e.createComputePipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1,n.group2A]}),compute:{module:t,entryPoint:`accumulate`}}));return e.derive([o,r.group0,r.group1,r.group2A,a.countBuffer,i.count],(e,t,n,r,i,a)=>o=>{if(o.clearBuffer(i),a==0)return;let s=o.beginComputePass();s.setPipeline(e),s.setBindGroup(0,t),s.setBindGroup(1,n),s.setBindGroup(2,r),a<=Uo*Wo?s.dispatchWorkgroups(Math.ceil(a/Uo)):s.dispatchWorkgroups(Wo,Math.ceil(a/(Uo*Wo))),s.end()})}function Ko(e){let{COMPUTE:t,VERTEX:n,FRAGMENT:r}=GPUShaderStage;return{group0:e.createBindGroupLayout({entries:[{binding:0,visibility:t|n|r,buffer:{type:`uniform`}}]}),group1:e.createBindGroupLayout({entries:[{binding:0,visibility:t|n,buffer:{type:`read-only-storage`}},{binding:1,visibility:t|n,buffer:{type:`read-only-storage`}},{binding:2,visibility:t|n,buffer:{type:`read-only-storage`}}]}),group2A:e.createBindGroupLayout({entries:[{binding:0,visibility:t|r,buffer:{type:`storage`}}]}),group2B:e.createBindGroupLayout({entries:[{binding:1,visibility:t|r,buffer:{type:`storage`}},{binding:2,visibility:t|r,buffer:{type:`storage`}}]}),group2BlurForward:e.createBindGroupLayout({entries:[{binding:0,visibility:t,buffer:{type:`storage`}},{binding:2,visibility:t,buffer:{type:`storage`}}]}),group3:e.createBindGroupLayout({entries:[{binding:0,visibility:GPUShaderStage.FRAGMENT,sampler:{type:`non-filtering`}},{binding:1,visibility:GPUShaderStage.FRAGMENT,texture:{sampleType:`float`}},{binding:2,visibility:GPUShaderStage.FRAGMENT,texture:{sampleType:`float`}}]})}}function qo(e,t,n,r,i){let a=e.derive([t],e=>Ko(e));return{layouts:a,group0:e.derive([t,a,n],(e,t,n)=>e.createBindGroup({layout:t.group0,entries:[{binding:0,resource:{buffer:n}}]})),group1:e.derive([t,a,r.x,r.y,r.category],(e,t,n,r,i)=>e.createBindGroup({layout:t.group1,entries:[{binding:0,resource:{buffer:n}},{binding:1,resource:{buffer:r}},{binding:2,resource:{buffer:i??n}}]})),group2A:e.derive([t,a,i.countBuffer,i.blurBuffer],(e,t,n,r)=>e.createBindGroup({layout:t.group2A,entries:[{binding:0,resource:{buffer:n}}]})),group2B:e.derive([t,a,i.countBuffer,i.blurBuffer],(e,t,n,r)=>e.createBindGroup({layout:t.group2B,entries:[{binding:1,resource:{buffer:n}},{binding:2,resource:{buffer:r}}]})),group2BlurForward:e.derive([t,a,i.countBuffer,i.blurBuffer],(e,t,n,r)=>e.createBindGroup({layout:t.group2BlurForward,entries:[{binding:0,resource:{buffer:n}},{binding:2,resource:{buffer:r}}]})),group3:e.derive([t,a,i.colorTexture,i.alphaTexture],(e,t,n,r)=>e.createBindGroup({layout:t.group3,entries:[{binding:0,resource:e.createSampler({})},{binding:1,resource:n.createView()},{binding:2,resource:r.createView()}]}))}}var Jo=256,Yo=256,Xo=Yo*Jo;function Zo(e){let t=Math.ceil(e/Jo);return t<=Yo?[t,1]:[Yo,Math.ceil(e/Xo)]}function Qo(e,t,n,r){let i=e.statefulDerive([t,e.value(16),GPUBufferUsage.UNIFORM|GPUBufferUsage.COPY_DST],S),a=e.statefulDerive([t,e.value(16),GPUBufferUsage.STORAGE|GPUBufferUsage.COPY_DST],S),o=e.derive([n],e=>Math.max(4,e*4)),s=e.statefulDerive([t,o,GPUBufferUsage.STORAGE],S),c=e.derive([t],e=>e.createBindGroupLayout({entries:[{binding:0,visibility:GPUShaderStage.COMPUTE,buffer:{type:`uniform`}},{binding:1,visibility:GPUShaderStage.COMPUTE,buffer:{type:`storage`}},{binding:2,visibility:GPUShaderStage.COMPUTE,buffer:{type:`storage`}}]})),l=e.derive([t,c,i,a,s],(e,t,n,r,i)=>e.createBindGroup({layout:t,entries:[{binding:0,resource:{buffer:n}},{binding:1,resource:{buffer:r}},{binding:2,resource:{buffer:i}}]})),u=e.derive([t],e=>e.createBindGroupLayout({entries:[{binding:0,visibility:GPUShaderStage.VERTEX,buffer:{type:`read-only-storage`}}]}));return{uniformBuffer:i,countersBuffer:a,pointDataBuffer:s,bindGroupLayout:c,bindGroup:l,vertexBindGroupLayout:u,vertexBindGroup:e.derive([t,u,s],(e,t,n)=>e.createBindGroup({layout:t,entries:[{binding:0,resource:{buffer:n}}]}))}}function $o(e,t,n,r,i,a,o,s,c,l){let u=e.derive([t],e=>e.createBindGroupLayout({entries:[{binding:1,visibility:GPUShaderStage.COMPUTE,buffer:{type:`storage`}}]})),d=e.derive([t,u,a],(e,t,n)=>e.createBindGroup({layout:t,entries:[{binding:1,resource:{buffer:n}}]})),f=e.derive([t],e=>e.createBindGroupLayout({entries:[]})),p=e.derive([t,f],(e,t)=>e.createBindGroup({layout:t,entries:[]})),m=e.derive([t,n,r,i,u,c.bindGroupLayout],(e,t,n,r,i,a)=>e.createComputePipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n,r,i,a]}),compute:{module:t,entryPoint:`downsample_viewport_cull`}})),h=e.derive([t,n,r,i,f,c.bindGroupLayout],(e,t,n,r,i,a)=>e.createComputePipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n,r,i,a]}),compute:{module:t,entryPoint:`downsample_density_sample`}}));return e.derive([t,m,h,o,s,d,p,c.bindGroup,c.uniformBuffer,c.countersBuffer,l.count],(e,t,n,r,i,a,o,s,c,l,u)=>(d,f)=>{if(u===0||f.maxPoints<=0)return 0;let p=new ArrayBuffer(16),m=new DataView(p);m.setUint32(0,f.maxPoints,!0),m.setUint32(4,f.frameSeed,!0),m.setFloat32(8,f.densityWeight,!0),m.setFloat32(12,0,!0),e.queue.writeBuffer(c,0,p),d.clearBuffer(l);let[h,g]=Zo(u);{let e=d.beginComputePass();e.setPipeline(t),e.setBindGroup(0,r),e.setBindGroup(1,i),e.setBindGroup(2,a),e.setBindGroup(3,s),e.dispatchWorkgroups(h,g),e.end()}{let e=d.beginComputePass();e.setPipeline(n),e.setBindGroup(0,r),e.setBindGroup(1,i),e.setBindGroup(2,o),e.setBindGroup(3,s),e.dispatchWorkgroups(h,g),e.end()}})}function es(e,t,n,r,i){let a=e.derive([t,n,r.layouts],(e,t,n)=>e.createRenderPipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1,n.group2B]}),vertex:{entryPoint:`draw_density_map_vs`,module:t},fragment:{entryPoint:`draw_density_map_fs`,module:t,targets:[{format:i.colorTextureFormat,blend:{color:{srcFactor:`one`,dstFactor:`one`},alpha:{srcFactor:`one`,dstFactor:`one`}}},{format:i.alphaTextureFormat,blend:{color:{srcFactor:`one`,dstFactor:`one`},alpha:{srcFactor:`one`,dstFactor:`one`}}}]},primitive:{topology:`triangle-strip`}}));return e.derive([a,r.group0,r.group1,r.group2B,i.colorTexture,i.alphaTexture],(e,t,n,r,i,a)=>o=>{let s=o.beginRenderPass({colorAttachments:[{loadOp:`load`,storeOp:`store`,view:i.createView()},{loadOp:`load`,storeOp:`store`,view:a.createView()}]});s.setPipeline(e),s.setBindGroup(0,t),s.setBindGroup(1,n),s.setBindGroup(2,r),s.draw(4),s.end()})}function ts(e,t,n,r,i,a){let o=e.derive([t,n,r.layouts],(e,t,n)=>e.createRenderPipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1]}),vertex:{entryPoint:`points_vs`,module:t},fragment:{entryPoint:`points_fs`,module:t,targets:[{format:a.colorTextureFormat,blend:{color:{srcFactor:`one`,dstFactor:`one`},alpha:{srcFactor:`one`,dstFactor:`one`}}},{format:a.alphaTextureFormat,blend:{color:{srcFactor:`one`,dstFactor:`one`},alpha:{srcFactor:`one`,dstFactor:`one`}}}]},primitive:{topology:`triangle-strip`}}));return e.derive([o,r.group0,r.group1,i.count,a.colorTexture,a.alphaTexture],(e,t,n,r,i,a)=>o=>{let s=o.beginRenderPass({colorAttachments:[{clearValue:[0,0,0,0],loadOp:`clear`,storeOp:`store`,view:i.createView()},{clearValue:[0,0,0,0],loadOp:`clear`,storeOp:`store`,view:a.createView()}]});s.setPipeline(e),s.setBindGroup(0,t),s.setBindGroup(1,n),r>0&&s.draw(4,r),s.end()})}function ns(e,t,n,r,i,a){let o=e.derive([t,n,r.layouts,i.vertexBindGroupLayout],(e,t,n,r)=>e.createRenderPipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1,r]}),vertex:{entryPoint:`points_downsampled_vs`,module:t},fragment:{entryPoint:`points_fs`,module:t,targets:[{format:a.colorTextureFormat,blend:{color:{srcFactor:`one`,dstFactor:`one`},alpha:{srcFactor:`one`,dstFactor:`one`}}},{format:a.alphaTextureFormat,blend:{color:{srcFactor:`one`,dstFactor:`one`},alpha:{srcFactor:`one`,dstFactor:`one`}}}]},primitive:{topology:`triangle-strip`}}));return e.derive([o,r.group0,r.group1,i.vertexBindGroup,a.colorTexture,a.alphaTexture],(e,t,n,r,i,a)=>(o,s)=>{let c=o.beginRenderPass({colorAttachments:[{clearValue:[0,0,0,0],loadOp:`clear`,storeOp:`store`,view:i.createView()},{clearValue:[0,0,0,0],loadOp:`clear`,storeOp:`store`,view:a.createView()}]});c.setPipeline(e),c.setBindGroup(0,t),c.setBindGroup(1,n),c.setBindGroup(2,r),s>0&&c.draw(4,s),c.end()})}function rs(e,t,n,r,i){let a=e.derive([t,n,i.layouts],(e,t,n)=>e.createRenderPipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1,n.group2B,n.group3]}),vertex:{entryPoint:`gamma_correction_vs`,module:t},fragment:{entryPoint:`gamma_correction_fs`,module:t,targets:[{format:r}]},primitive:{topology:`triangle-strip`}}));return e.derive([a,i.group0,i.group1,i.group2B,i.group3],(e,t,n,r,i)=>(a,o)=>{let s=a.beginRenderPass({colorAttachments:[{clearValue:[1,1,1,1],loadOp:`clear`,storeOp:`store`,view:o}]});s.setPipeline(e),s.setBindGroup(0,t),s.setBindGroup(1,n),s.setBindGroup(2,r),s.setBindGroup(3,i),s.draw(4),s.end()})}var is=64;function as(e,t,n,r,i,a,o){let s=e.derive([t,n,r.layouts],(e,t,n)=>e.createComputePipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1,n.group2BlurForward,n.group3]}),compute:{module:t,entryPoint:`gaussian_blur_stage_1`}})),c=e.derive([t,n,r.layouts],(e,t,n)=>e.createComputePipeline({layout:e.createPipelineLayout({bindGroupLayouts:[n.group0,n.group1,n.group2B,n.group3]}),compute:{module:t,entryPoint:`gaussian_blur_stage_2`}}));return e.derive([s,c,r.group0,r.group1,r.group2BlurForward,r.group2B,r.group3,i,a,o],(e,t,n,r,i,a,o,s,c,l)=>u=>{let d=u.beginComputePass();d.setBindGroup(0,n),d.setBindGroup(1,r),d.setBindGroup(3,o),d.setBindGroup(2,i),d.setPipeline(e),d.dispatchWorkgroups(Math.ceil(s/is),l),d.setBindGroup(2,a),d.setPipeline(t),d.dispatchWorkgroups(Math.ceil(c/is),l),d.end()})}function os(e,t=!1){let n=new Float64Array(5),r=new Float64Array(4);ss(n,r,e);let i=Float64Array.of(0,r[1]-n[1]*r[0],r[2]-n[2]*r[0],r[3]-n[3]*r[0],-n[4]*r[0]),a=1+n[1]+n[2]+n[3]+n[4];return{sigma:e,negative:t,a:n,b_causal:r,b_anticausal:i,sum_causal:(r[0]+r[1]+r[2]+r[3])/a,sum_anticausal:(i[1]+i[2]+i[3]+i[4])/a}}function ss(e,t,n){let r=Float64Array.of(.84,1.8675,.84,-1.8675,-.34015,-.1299,-.34015,.1299),i=Math.exp(-1.783/n),a=Math.exp(-1.723/n),o=.6318/n,s=1.997/n,c=Float64Array.of(-i*Math.cos(o),i*Math.sin(o),-i*Math.cos(-o),i*Math.sin(-o),-a*Math.cos(s),a*Math.sin(s),-a*Math.cos(-s),a*Math.sin(-s)),l=n*2.5066282746310007,u=Float64Array.of(r[0],r[1],0,0,0,0,0,0),d=Float64Array.of(1,0,c[0],c[1],0,0,0,0,0,0),f,p=2;for(;p<8;p+=2){for(u[p]=c[p]*u[p-2]-c[p+1]*u[p-1],u[p+1]=c[p]*u[p-1]+c[p+1]*u[p-2],f=p-2;f>0;f-=2)u[f]+=c[p]*u[f-2]-c[p+1]*u[f-1],u[f+1]+=c[p]*u[f-1]+c[p+1]*u[f-2];for(f=0;f<=p;f+=2)u[f]+=r[p]*d[f]-r[p+1]*d[f+1],u[f+1]+=r[p]*d[f+1]+r[p+1]*d[f];for(d[p+2]=c[p]*d[p]-c[p+1]*d[p+1],d[p+3]=c[p]*d[p+1]+c[p+1]*d[p],f=p;f>0;f-=2)d[f]+=c[p]*d[f-2]-c[p+1]*d[f-1],d[f+1]+=c[p]*d[f-1]+c[p+1]*d[f-2]}for(p=0;p<4;++p)f=p<<1,t[p]=u[f]/l,e[p+1]=d[f+2]}function cs(e){let t=os(e);return{kde_causal:[t.b_causal[0],t.b_causal[1],t.b_causal[2],t.b_causal[3]],kde_anticausal:[t.b_anticausal[1],t.b_anticausal[2],t.b_anticausal[3],t.b_anticausal[4]],kde_a:[t.a[1],t.a[2],t.a[3],t.a[4]]}}var ls=`// Copyright (c) 2025 Apple Inc. Licensed under MIT License.

enable f16;

struct Uniforms {
  count: u32,
  category_count: u32,
  framebuffer_width: i32,
  framebuffer_height: i32,
  density_width: i32,
  density_height: i32,
  gamma: f32,
  point_size: f32,
  point_alpha: f32,
  points_alpha: f32,
  density_scaler: f32,
  quantization_step: f32,
  density_alpha: f32,
  contours_alpha: f32,
  matrix: mat3x3<f32>,
  view_xy_scaler: vec2<f32>,
  kde_causal: vec4<f32>,
  kde_anticausal: vec4<f32>,
  kde_a: vec4<f32>,
  background_color: vec4<f32>,
  category_colors: array<vec4<f32>, 256>,
}

struct DownsampleUniforms {
  render_limit: u32,
  frame_seed: u32,
  density_weight: f32,
  _padding: f32,
}

struct PointData {
  position: vec3<f32>,
  category: u32,
}

struct FragmentOutput {
  @location(0) color: vec4<f32>,
  @location(1) log1malpha: f32, // log(1 - alpha)
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;

@group(1) @binding(0) var<storage, read> x_buffer: array<f32>;
@group(1) @binding(1) var<storage, read> y_buffer: array<f32>;
@group(1) @binding(2) var<storage, read> category_buffer: array<u32>;

@group(2) @binding(0) var<storage, read_write> count_buffer: array<atomic<u32>>;
@group(2) @binding(1) var<storage, read_write> blur_buffer: array<f16>;
@group(2) @binding(2) var<storage, read_write> blur_swap_buffer: array<f16>;

@group(3) @binding(0) var framebuffer_sampler: sampler;
@group(3) @binding(1) var color_texture: texture_2d<f32>;
@group(3) @binding(2) var log1malpha_texture: texture_2d<f32>;

// Downsampling bind groups (group 3 for compute shaders)
// WebGPU has a default limit of 4 bind groups, so we use group 3 (not 4)
// 3 storage buffers to stay within 8-buffer limit (3 from group1 + 1 from group2 + 3 from group3 = 7)
@group(3) @binding(0) var<uniform> downsample_uniforms: DownsampleUniforms;
@group(3) @binding(1) var<storage, read_write> downsample_counters: array<atomic<u32>>; // [visible_count, max_density_fixed]
@group(3) @binding(2) var<storage, read_write> point_data: array<f32>; // density (>= 0 means visible with density, < 0 means not visible or not accepted)

// Separate binding for vertex shader in downsampled draw pipeline
// Uses group 2 since the pipeline only needs groups 0, 1, 2
// (read-only access required by WebGPU for vertex shaders)
@group(2) @binding(0) var<storage, read> point_data_read: array<f32>; // same as point_data above

fn get_point(index: u32) -> PointData {
  var result: PointData;
  result.position = vec3(x_buffer[index], y_buffer[index], 1.0);
  if (uniforms.category_count > 1) {
    result.category = (category_buffer[index >> 2] >> ((index & 3) << 3)) & 0xff;
  } else {
    result.category = 0;
  }
  return result;
}

const ACCUMULATE_UNIT: u32 = 4096;

fn increment_count(x: i32, y: i32, category: u32, value: u32) {
  let width = uniforms.density_width;
  let height = uniforms.density_height;
  if (x < 0 || x >= width || y < 0 || y >= height || category >= uniforms.category_count || value == 0) {
    return;
  }
  let offset = (y * width + x) + i32(category) * (width * height);
  atomicAdd(&count_buffer[offset], value);
}

@compute @workgroup_size(64, 1)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>) {
  let width = uniforms.density_width;
  let height = uniforms.density_height;
  let index = id.y * 4096 + id.x; // 4096 = 64 * 64
  if (index >= uniforms.count) { return; }
  let point = get_point(index);
  let pos = uniforms.matrix * point.position;
  let x = (pos.x + 1.0) / 2.0 * f32(width) - 0.5;
  let y = (pos.y + 1.0) / 2.0 * f32(height) - 0.5;
  let ix = i32(x);
  let iy = i32(y);
  let tx = x - f32(ix);
  let ty = y - f32(iy);
  let w1: u32 = u32((1 - tx) * (1 - ty) * f32(ACCUMULATE_UNIT));
  let w2: u32 = u32(tx * (1 - ty) * f32(ACCUMULATE_UNIT));
  let w3: u32 = u32((1 - tx) * ty * f32(ACCUMULATE_UNIT));
  let w123 = w1 + w2 + w3;
  var w4: u32 = select(0, ACCUMULATE_UNIT - w123, w123 < ACCUMULATE_UNIT);
  increment_count(ix, iy, point.category, w1);
  increment_count(ix + 1, iy, point.category, w2);
  increment_count(ix, iy + 1, point.category, w3);
  increment_count(ix + 1, iy + 1, point.category, w4);
}

// =====================================================
// Draw Discrete Points
// =====================================================

struct PointsVertexOutput {
  @builtin(position) position: vec4<f32>,
  @location(0) dp: vec3<f32>,
  @location(1) color: vec4<f32>,
}

@vertex
fn points_vs(
  @builtin(instance_index) index: u32,
  @builtin(vertex_index) part: u32,
) -> PointsVertexOutput {
  let framebuffer_size = vec2(f32(uniforms.framebuffer_width), f32(uniforms.framebuffer_height));
  let alpha = uniforms.point_alpha * uniforms.points_alpha;
  let dp = vec2<f32>(f32(part % 2), f32(part / 2)) * 2.0 - 1.0;
  let point = get_point(index);
  let pos = uniforms.matrix * point.position;

  var out: PointsVertexOutput;
  out.position = vec4<f32>(pos.xy + dp * uniforms.point_size / framebuffer_size * 2.0, 0.0, 1.0);
  out.dp = vec3(dp, uniforms.point_size);
  out.color = uniforms.category_colors[point.category] * alpha;
  return out;
}

@fragment
fn points_fs(in: PointsVertexOutput) -> FragmentOutput {
  let r = length(in.dp.xy) * in.dp.z;
  let a = max(0.0, min(1.0, in.dp.z - r));
  var out: FragmentOutput;
  out.color = in.color * a;
  out.log1malpha = log(1 - out.color.a);
  return out;
}

// =====================================================
// Draw Density Map
// =====================================================

struct DrawDensityMapVertexOutput {
  @builtin(position) position: vec4<f32>,
  @location(0) texture_coord: vec2<f32>,
}

@vertex
fn draw_density_map_vs(
  @builtin(vertex_index) part: u32,
) -> DrawDensityMapVertexOutput {
  let framebuffer_size = vec2(f32(uniforms.framebuffer_width), f32(uniforms.framebuffer_height));
  let dp = vec2<f32>(f32(part % 2), f32(part / 2)) * 2.0 - 1.0;
  var out: DrawDensityMapVertexOutput;
  out.position = vec4(dp, 0.0, 1.0);
  out.texture_coord = (vec2(dp.x, dp.y) + 1.0) / 2.0 * framebuffer_size;
  return out;
}

fn get_density_raw(x: i32, y: i32, category: u32) -> f32 {
  let width = uniforms.density_width;
  let height = uniforms.density_height;
  let density_scaler = uniforms.density_scaler;
  if (x < 0 || x >= width || y < 0 || y >= height) {
    return 0.0;
  }
  let offset = (y * width + x) + i32(category) * (width * height);
  return max(0.0, f32(blur_buffer[offset]) * density_scaler);
}

fn get_density(x: f32, y: f32, category: u32) -> f32 {
  let px = x / f32(uniforms.framebuffer_width) * f32(uniforms.density_width) - 0.5;
  let py = y / f32(uniforms.framebuffer_height) * f32(uniforms.density_height) - 0.5;
  let ix = i32(px);
  let iy = i32(py);
  let tx = px - f32(ix);
  let ty = py - f32(iy);
  let v00 = get_density_raw(ix, iy, category);
  let v10 = get_density_raw(ix + 1, iy, category);
  let v01 = get_density_raw(ix, iy + 1, category);
  let v11 = get_density_raw(ix + 1, iy + 1, category);
  return mix(mix(v00, v10, tx), mix(v01, v11, tx), ty);
}

fn get_density_quantized(x: f32, y: f32, category: u32) -> f32 {
  let v = get_density(x, y, category);
  return floor(clamp(v, 0, 1) / uniforms.quantization_step);
}

fn get_density_quantized_sobel(x: f32, y: f32, category: u32) -> vec2<f32> {
  let v11 = get_density_quantized(x - 1, y - 1, category);
  let v21 = get_density_quantized(x, y - 1, category);
  let v31 = get_density_quantized(x + 1, y - 1, category);
  let v12 = get_density_quantized(x - 1, y, category);
  let v22 = get_density_quantized(x, y, category);
  let v32 = get_density_quantized(x + 1, y, category);
  let v13 = get_density_quantized(x - 1, y + 1, category);
  let v23 = get_density_quantized(x, y + 1, category);
  let v33 = get_density_quantized(x + 1, y + 1, category);
  let gx = v11 + v12 * 2.0 + v13 - v31 - v32 * 2.0 - v33;
  let gy = v11 + v21 * 2.0 + v31 - v13 - v23 * 2.0 - v33;
  return vec2(gx, gy);
}

@fragment
fn draw_density_map_fs(in: DrawDensityMapVertexOutput) -> FragmentOutput {
  let px = in.texture_coord.x;
  let py = in.texture_coord.y;
  let quantization_step: f32 = uniforms.quantization_step;

  var sum_color: vec4<f32> = vec4(0);
  var sum_log1malpha: f32 = 0.0;

  for (var i: u32 = 0; i < uniforms.category_count; i++) {
    let density = get_density(px, py, i);
    var alpha = min(1.0, floor(density / quantization_step) * quantization_step);
    alpha *= uniforms.density_alpha;
    let color = uniforms.category_colors[i] * alpha;
    sum_color += color;
    sum_log1malpha += log(1 - color.a);
  }

  if (uniforms.contours_alpha > 0.0) {
    for (var i: u32 = 0; i < uniforms.category_count; i++) {
      let sobel = get_density_quantized_sobel(px, py, i);
      let alpha = clamp(length(sobel) * 0.2, 0.0, 1.0) * uniforms.contours_alpha;
      let color = uniforms.category_colors[i] * alpha;
      sum_color += color;
      sum_log1malpha += log(1 - color.a);
    }
  }

  var out: FragmentOutput;
  out.color = sum_color;
  out.log1malpha = sum_log1malpha;
  return out;
}

// =====================================================
// Gamma Correction
// =====================================================

struct GammaCorrectionVertexOutput {
  @builtin(position) position: vec4<f32>,
  @location(0) texture_coord: vec2<f32>,
}

@vertex
fn gamma_correction_vs(
  @builtin(vertex_index) part: u32,
) -> GammaCorrectionVertexOutput {
  let dp = vec2<f32>(f32(part % 2), f32(part / 2)) * 2.0 - 1.0;
  var out: GammaCorrectionVertexOutput;
  out.position = vec4(dp * uniforms.view_xy_scaler, 0.0, 1.0);
  out.texture_coord = (vec2(dp.x, -dp.y) + 1.0) / 2.0;
  return out;
}

@fragment
fn gamma_correction_fs(in: GammaCorrectionVertexOutput) -> @location(0) vec4<f32> {
  let sum_color = textureSample(color_texture, framebuffer_sampler, in.texture_coord);
  let sum_log_one_minus_alpha = textureSample(log1malpha_texture, framebuffer_sampler, in.texture_coord).r;
  var color: vec4<f32>;
  if (sum_color.a > 0.0) {
    color = sum_color / sum_color.a * (1.0 - exp(sum_log_one_minus_alpha));
    color = color + uniforms.background_color * (1 - color.a);
  } else {
    color = uniforms.background_color;
  }
  let rgb = pow(color.rgb, vec3(1.0 / uniforms.gamma));
  return vec4(rgb, 1.0);
}

// =====================================================
// Gaussian Blur
// =====================================================

@compute @workgroup_size(64, 1)
fn gaussian_blur_stage_1(@builtin(global_invocation_id) id: vec3<u32>) {
  let width = uniforms.density_width;
  let height = uniforms.density_height;
  let x = id.x;
  if (x >= u32(width)) { return; }
  let start = x + id.y * u32(width * height);
  let count = u32(height);
  let stride = u32(width);

  deriche_conv_1d_forward(
    start, stride, count,
    uniforms.kde_causal, uniforms.kde_anticausal, uniforms.kde_a
  );
}

@compute @workgroup_size(64, 1)
fn gaussian_blur_stage_2(@builtin(global_invocation_id) id: vec3<u32>) {
  let width = uniforms.density_width;
  let height = uniforms.density_height;
  let y = id.x;
  if (y >= u32(height)) { return; }
  let start = y * u32(width) + id.y * u32(width * height);
  let count = u32(width);
  let stride = u32(1);

  deriche_conv_1d_backward(
    start, stride, count,
    uniforms.kde_causal, uniforms.kde_anticausal, uniforms.kde_a
  );
}

// The gaussian blur is a two-pass Deriche recursive filter (horizontal, then
// vertical) implemented as a ping-pong between two storage buffers.
//
// The forward pass reads the fixed-point accumulated densities. These live in
// \`count_buffer\` (an array<atomic<u32>>) which physically aliases \`blur_buffer\`.
// We read them through the u32 view rather than reinterpreting \`blur_buffer\`'s
// f16 pairs, because bitcasting a vec2<f16> to a u32 is not supported by all
// WGSL implementations (e.g. Firefox / naga).
//
// The two passes are kept as separate functions (rather than one function with
// a \`forward\` flag) so that each blur entry point statically references only the
// buffers it uses. That keeps \`count_buffer\`/\`blur_buffer\` (which alias the same
// GPU buffer) out of a single dispatch's usage scope at the same time, avoiding
// WebGPU storage-buffer aliasing validation errors.

// Forward pass: read u32 counts from count_buffer, write horizontal blur to blur_swap_buffer.
fn deriche_conv_1d_forward(
    start: u32, stride: u32, count: u32,
    kde_causal: vec4<f32>, kde_anticausal: vec4<f32>, kde_a: vec4<f32>
) {
  var s: vec4<f32> = vec4(0.0);
  var y0: f32 = 0.0;
  var y1234: vec4<f32> = vec4(0.0);

  var first_nonzero: u32 = count;
  var last_nonzero: u32 = 0;

  for (var i: u32 = 0; i < count; i++) {
    let offset = start + i * stride;
    var input: f32 = f32(atomicLoad(&count_buffer[offset])) / f32(ACCUMULATE_UNIT);
    if (input != 0.0) {
      first_nonzero = min(i, first_nonzero);
      last_nonzero = max(i, last_nonzero);
    }
    s = vec4(input, s.xyz);
    y1234 = vec4(y0, y1234.xyz);
    y0 = dot(kde_causal, s) - dot(kde_a, y1234);
    blur_swap_buffer[offset] = f16(y0);
  }

  if (first_nonzero > last_nonzero) {
    return;
  }

  s = vec4(0.0);
  y0 = 0.0;
  y1234 = vec4(0.0);

  for (var i: u32 = count - 1 - last_nonzero; i < count; i++) {
    let p = count - 1 - i;
    let offset = start + p * stride;
    var input: f32 = 0.0;
    if (p >= first_nonzero) {
      input = f32(atomicLoad(&count_buffer[offset])) / f32(ACCUMULATE_UNIT);
    }
    y1234 = vec4(y0, y1234.xyz);
    y0 = dot(kde_anticausal, s) - dot(kde_a, y1234);
    s = vec4(input, s.xyz);
    if (y0 != 0.0) {
      blur_swap_buffer[offset] = f16(f32(blur_swap_buffer[offset]) + y0);
    }
  }
}

// Backward pass: read f16 from blur_swap_buffer, write vertical blur to blur_buffer.
fn deriche_conv_1d_backward(
    start: u32, stride: u32, count: u32,
    kde_causal: vec4<f32>, kde_anticausal: vec4<f32>, kde_a: vec4<f32>
) {
  var s: vec4<f32> = vec4(0.0);
  var y0: f32 = 0.0;
  var y1234: vec4<f32> = vec4(0.0);

  var first_nonzero: u32 = count;
  var last_nonzero: u32 = 0;

  for (var i: u32 = 0; i < count; i++) {
    let offset = start + i * stride;
    var input: f32 = f32(blur_swap_buffer[offset]);
    if (input != 0.0) {
      first_nonzero = min(i, first_nonzero);
      last_nonzero = max(i, last_nonzero);
    }
    s = vec4(input, s.xyz);
    y1234 = vec4(y0, y1234.xyz);
    y0 = dot(kde_causal, s) - dot(kde_a, y1234);
    blur_buffer[offset] = f16(y0);
  }

  if (first_nonzero > last_nonzero) {
    return;
  }

  s = vec4(0.0);
  y0 = 0.0;
  y1234 = vec4(0.0);

  for (var i: u32 = count - 1 - last_nonzero; i < count; i++) {
    let p = count - 1 - i;
    let offset = start + p * stride;
    var input: f32 = 0.0;
    if (p >= first_nonzero) {
      input = f32(blur_swap_buffer[offset]);
    }
    y1234 = vec4(y0, y1234.xyz);
    y0 = dot(kde_anticausal, s) - dot(kde_a, y1234);
    s = vec4(input, s.xyz);
    if (y0 != 0.0) {
      blur_buffer[offset] = f16(f32(blur_buffer[offset]) + y0);
    }
  }
}

// =====================================================
// Downsampling: PCG hash for deterministic randomness
// =====================================================

fn pcg_hash(input: u32) -> u32 {
  var state = input * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

fn random_float(seed: u32) -> f32 {
  return f32(pcg_hash(seed)) / 4294967295.0;
}

// =====================================================
// Downsampling Pass 1: Viewport culling + density lookup
// =====================================================
// Uses 2D dispatch for large point counts (>65K workgroups)
// Stride: 256 workgroups * 256 threads = 65536 threads per row

const DOWNSAMPLE_STRIDE: u32 = 65536u;

@compute @workgroup_size(256)
fn downsample_viewport_cull(@builtin(global_invocation_id) id: vec3<u32>) {
  let index = id.y * DOWNSAMPLE_STRIDE + id.x;
  if (index >= uniforms.count) { return; }

  let point = get_point(index);
  let pos = uniforms.matrix * point.position;

  // Check if point is in viewport [-1, 1]
  let in_viewport = pos.x >= -1.0 && pos.x <= 1.0 && pos.y >= -1.0 && pos.y <= 1.0;

  if (in_viewport) {
    // Increment visible count
    atomicAdd(&downsample_counters[0], 1u);

    // Lookup density at this point's location from blur_buffer
    let width = uniforms.density_width;
    let height = uniforms.density_height;
    let dx = (pos.x + 1.0) / 2.0 * f32(width) - 0.5;
    let dy = (pos.y + 1.0) / 2.0 * f32(height) - 0.5;
    let ix = clamp(i32(dx), 0, width - 1);
    let iy = clamp(i32(dy), 0, height - 1);

    // Sum density across all categories at this grid cell
    var density: f32 = 0.0;
    for (var c: u32 = 0; c < uniforms.category_count; c++) {
      let offset = iy * width + ix + i32(c) * (width * height);
      density += f32(blur_buffer[offset]);
    }
    // Store density (positive = visible). Add small epsilon to ensure > 0.
    density = min(max(density, 0.0001), 65535.0);
    point_data[index] = density;

    // Track max density using fixed-point atomics
    let density_fixed = u32(density * 65536.0);
    atomicMax(&downsample_counters[1], density_fixed);
  } else {
    // Not visible: store -1.0
    point_data[index] = -1.0;
  }
}

// =====================================================
// Downsampling Pass 2: Probabilistic acceptance
// =====================================================

@compute @workgroup_size(256)
fn downsample_density_sample(@builtin(global_invocation_id) id: vec3<u32>) {
  let index = id.y * DOWNSAMPLE_STRIDE + id.x;
  if (index >= uniforms.count) { return; }

  let density = point_data[index];

  // Not visible (density < 0)
  if (density < 0.0) {
    return;
  }

  let visible_count = atomicLoad(&downsample_counters[0]);
  let render_limit = downsample_uniforms.render_limit;

  // If visible count is within limit, accept all visible points (keep positive density)
  if (visible_count <= render_limit) {
    return; // Keep positive value = accepted
  }

  // Compute acceptance probability based on density
  let max_density_fixed = atomicLoad(&downsample_counters[1]);
  let max_density = f32(max_density_fixed) / 65536.0;

  // Base acceptance rate
  let base_rate = f32(render_limit) / f32(visible_count);

  // Density-based modulation: lower density = higher acceptance
  let normalized_density = select(0.0, density / max_density, max_density > 0.0001);
  let density_weight = downsample_uniforms.density_weight;

  // Inverse density weighting: sparse areas get higher probability
  let inverse_weight = 1.0 / (1.0 + normalized_density * density_weight);

  // Compute final probability (scale by ~2 to compensate for average inverse_weight)
  let final_prob = min(1.0, base_rate * inverse_weight * 2.0);

  // Deterministic random for frame stability (based on point index + frame seed)
  let seed = index ^ downsample_uniforms.frame_seed;
  let rand = random_float(seed);

  // If not accepted, set to negative (marks as rejected)
  if (rand >= final_prob) {
    point_data[index] = -1.0;
  }
}

// =====================================================
// Draw points with downsampling
// =====================================================

@vertex
fn points_downsampled_vs(
  @builtin(instance_index) instance: u32,
  @builtin(vertex_index) part: u32,
) -> PointsVertexOutput {
  var out: PointsVertexOutput;

  let point_data = point_data_read[instance];
  if (point_data < 0.0) {
    // To discard a point, we set a out-of-viewport position. This avoids fragment costs.
    out.position = vec4<f32>(-1000, -1000, 0.0, 1.0);
    return out;
  }

  let framebuffer_size = vec2(f32(uniforms.framebuffer_width), f32(uniforms.framebuffer_height));
  let alpha = uniforms.point_alpha * uniforms.points_alpha;
  let dp = vec2<f32>(f32(part % 2), f32(part / 2)) * 2.0 - 1.0;
  let point = get_point(instance);
  let pos = uniforms.matrix * point.position;
  out.position = vec4<f32>(pos.xy + dp * uniforms.point_size / framebuffer_size * 2.0, 0.0, 1.0);
  out.dp = vec3(dp, uniforms.point_size);
  out.color = uniforms.category_colors[point.category] * alpha;
  return out;
}
`,us=class{props;viewport;df;device;module;uniforms;context;renderInputs;dataBuffers;renderer;constructor(e,t,n,r,i){this.context=e,this.props={mode:`points`,colorScheme:`light`,x:new Float32Array,y:new Float32Array,category:null,categoryCount:1,categoryColors:null,viewportX:0,viewportY:0,viewportScale:1,pointSize:1,pointAlpha:1,pointsAlpha:1,densityScaler:1,densityBandwidth:1,densityQuantizationStep:.1,contoursAlpha:1,densityAlpha:1,gamma:2.2,width:r,height:i,downsampleMaxPoints:4e6,downsampleDensityWeight:5},this.viewport=new Ya({x:0,y:0,scale:1},r,i),this.df=new io;let a=this.df;this.renderInputs={mode:a.value(this.props.mode),colorScheme:a.value(this.props.colorScheme),xData:a.value(this.props.x),yData:a.value(this.props.y),categoryData:a.value(this.props.category),categoryCount:a.value(this.props.categoryCount),categoryColors:a.value(this.props.categoryColors),matrix:a.value(Wa()),width:a.value(r),height:a.value(i),pointSize:a.value(this.props.pointSize),densityBandwidth:a.value(this.props.densityBandwidth),downsampleMaxPoints:a.value(this.props.downsampleMaxPoints),downsampleDensityWeight:a.value(this.props.downsampleDensityWeight)},this.device=a.value(t),this.dataBuffers=ds(a,this.device,this.renderInputs),this.module=a.derive([this.device],e=>e.createShaderModule({code:ls})),this.uniforms=Ho(a,this.device),this.renderer=ps(a,this.device,this.module,this.uniforms,n,this.renderInputs,this.dataBuffers)}setProps(e){let t=!1,n;for(n in e)e[n]!==this.props[n]&&(this.props[n]=e[n],t=!0);return this.viewport.update({x:this.props.viewportX,y:this.props.viewportY,scale:this.props.viewportScale},this.props.width,this.props.height),this.renderInputs.mode.value=this.props.mode,this.renderInputs.colorScheme.value=this.props.colorScheme,this.renderInputs.xData.value=this.props.x,this.renderInputs.yData.value=this.props.y,this.renderInputs.categoryData.value=this.props.category,this.renderInputs.categoryColors.value=this.props.categoryColors,this.props.category==null?this.renderInputs.categoryCount.value=1:this.renderInputs.categoryCount.value=this.props.categoryCount,this.renderInputs.matrix.value=this.viewport.matrix(),this.renderInputs.width.value=this.props.width,this.renderInputs.height.value=this.props.height,this.renderInputs.pointSize.value=this.props.pointSize,this.renderInputs.densityBandwidth.value=this.props.densityBandwidth,this.renderInputs.downsampleMaxPoints.value=this.props.downsampleMaxPoints,this.renderInputs.downsampleDensityWeight.value=this.props.downsampleDensityWeight,t}render(){this.renderer.value(this.props,this.context.getCurrentTexture().createView())}destroy(){this.df.destroy()}async densityMap(e,t,n,r){let i=this.df.subgraph(),{x:a,y:o,scale:s}=r,c=[s,0,0,0,s,0,-a*s,-o*s,1],l=Ja(c),u=await ms(i,this.device,this.module,this.uniforms,i.value(e),i.value(t),i.value(n),i.value(c),this.dataBuffers).value();return i.destroy(),{data:u,width:e,height:t,coordinateAtPixel:(n,r)=>{let i=Ka([n/e*2-1,r/t*2-1,1],l);return{x:i[0],y:i[1]}}}}};function ds(e,t,n){let r=GPUBufferUsage.STORAGE|GPUBufferUsage.COPY_DST,i=e.derive([n.xData],e=>e.length),a=e.derive([i],e=>e*4),o=i;return{x:e.statefulDerive([t,e.statefulDerive([t,a,r],S),n.xData],C),y:e.statefulDerive([t,e.statefulDerive([t,a,r],S),n.yData],C),category:e.statefulDerive([t,e.statefulDerive([t,o,r],S),n.categoryData],C),count:i}}function fs(e,t,n,r,i,a,o){let s=`rgba16float`,c=`r16float`,l=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.TEXTURE_BINDING,u=e.statefulDerive([t,n,r,s,l],w),d=e.statefulDerive([t,n,r,c,l],w),f=e.derive([i,a,o],(e,t,n)=>e*t*n*4),p=e.derive([i,a,o],(e,t,n)=>e*t*n*2);return{colorTexture:u,alphaTexture:d,colorTextureFormat:s,alphaTextureFormat:c,countBuffer:e.statefulDerive([t,f,GPUBufferUsage.STORAGE|GPUBufferUsage.COPY_DST|GPUBufferUsage.COPY_SRC],S),blurBuffer:e.statefulDerive([t,p,GPUBufferUsage.STORAGE],S)}}function ps(e,t,n,r,i,a,o){let s=e.derive([a.densityBandwidth],e=>Math.ceil(e*3)+1),c=e.derive([a.width,s],(e,t)=>e+t*2),l=e.derive([a.height,s],(e,t)=>e+t*2),u=e.derive([c],e=>Math.ceil(e/4)),d=e.derive([l],e=>Math.ceil(e/4)),f=fs(e,t,c,l,u,d,a.categoryCount),p=qo(e,t,r.buffer,o,f),m=Qo(e,t,o.count,a.downsampleMaxPoints),h=Go(e,t,n,p,o,f),g=ts(e,t,n,p,o,f),_=ns(e,t,n,p,m,f),v=es(e,t,n,p,f),y=rs(e,t,n,i,p),b=as(e,t,n,p,c,l,a.categoryCount),x=e.derive([p.layouts],e=>e),S=$o(e,t,n,e.derive([x],e=>e.group0),e.derive([x],e=>e.group1),f.blurBuffer,p.group0,p.group1,m,o),C=e.derive([a.densityBandwidth,c,u],(e,t,n)=>cs(e/t*n)),w=e.derive([a.categoryColors,a.categoryCount],(e,t)=>(e??=Ha(t),e.map(e=>Ua(e))));return e.derive([t,c,l,u,d,r.update,o.count,a.matrix,w,g,_,y,h,b,v,S,C],(e,t,n,r,i,a,o,s,c,l,u,d,f,p,m,h,g)=>(_,v)=>{let y=_.colorScheme==`light`?[1,1,1,1]:[0,0,0,1],b=_.width/t,x=_.height/n,S=Ga([b,0,0,0,x,0,0,0,1],s);a({count:o,category_count:_.categoryCount,framebuffer_width:t,framebuffer_height:n,density_width:r,density_height:i,gamma:_.gamma,point_size:Math.max(_.mode==`points`?3:1,_.pointSize),point_alpha:_.pointAlpha,points_alpha:_.pointsAlpha,density_scaler:_.densityScaler/16,quantization_step:_.densityQuantizationStep,density_alpha:_.densityAlpha,contours_alpha:_.contoursAlpha,matrix:S,view_xy_scaler:[1/b,1/x],kde_causal:g.kde_causal,kde_anticausal:g.kde_anticausal,kde_a:g.kde_a,background_color:y,category_colors:c});let C=e.createCommandEncoder(),w=_.downsampleMaxPoints,T=w===null||w===1/0||!Number.isFinite(w)||w<=0?null:w;T!==null&&o>T?(f(C),p(C),h(C,{maxPoints:T,densityWeight:_.downsampleDensityWeight,frameSeed:42}),u(C,o),_.mode==`density`&&(_.densityAlpha>0||_.contoursAlpha>0)&&m(C)):(l(C),_.mode==`density`&&(_.densityAlpha>0||_.contoursAlpha>0)&&(f(C),p(C),m(C))),d(C,v),e.queue.submit([C.finish()])})}function ms(e,t,n,r,i,a,o,s,c){let l=fs(e,t,i,a,i,a,e.value(1)),u=qo(e,t,r.buffer,c,l),d=Go(e,t,n,u,c,l),f=as(e,t,n,u,i,a,e.value(1));return e.derive([t,i,a,c.count,r.update,o,s,d,f,l.countBuffer],(e,t,n,r,i,a,o,s,c,l)=>()=>{let u=e.createCommandEncoder(),d=cs(a);i({count:r,category_count:1,framebuffer_width:t,framebuffer_height:n,density_width:t,density_height:n,gamma:1,point_size:0,point_alpha:0,points_alpha:0,density_scaler:0,quantization_step:0,density_alpha:0,contours_alpha:0,matrix:o,view_xy_scaler:[1,1],kde_causal:d.kde_causal,kde_anticausal:d.kde_anticausal,kde_a:d.kde_a,background_color:[0,0,0,0],category_colors:[]}),s(u),c(u);let f=e.createBuffer({size:t*n*2,usage:GPUBufferUsage.COPY_DST|GPUBufferUsage.MAP_READ});return u.copyBufferToBuffer(l,0,f,0,t*n*2),e.queue.submit([u.finish()]),f.mapAsync(GPUMapMode.READ,0,t*n*2).then(()=>hs(f.getMappedRange()))})}function hs(e){let t=new Uint16Array(e),n=new Uint32Array(t.length);for(let e=0;e<t.length;e++){let r=t[e]&32767,i=t[e]&32768,a=t[e]&31744;r<<=13,i<<=16,r+=939524096,r=a==0?0:r,r|=i,n[e]=r}return new Float32Array(n.buffer)}var gs=void 0;function _s(){return gs??(gs=document.createElement(`canvas`),gs.width=1,gs.height=1),gs.getContext(`2d`)}function vs(e){let t=_s();t.font=`${e.fontSize??10}px ${e.fontFamily??`system-ui`}`;let n=e.text.split(`
`).map(e=>t.measureText(e).width),r=(e.fontSize??10)*(e.lineSpacing??1)*n.length;return{width:n.reduce((e,t)=>Math.max(e,t)),height:r}}var ys=null,bs=new Map;function xs(){return ys??=new Promise((e,t)=>{let n=new Worker(new URL(new URL(`clustering.worker.js`,import.meta.url).href,``+import.meta.url),{type:`module`});n.onmessage=t=>{if(t.data.ready)e(n);else if(t.data.id!=null){let e=bs.get(t.data.id);e!=null&&(bs.delete(t.data.id),e(t.data))}}}),ys}function Ss(e,t,n=[]){return new Promise((r,i)=>{xs().then(i=>{let a=new Date().getTime().toString()+`-`+Math.random().toString();bs.set(a,e=>{r(e.payload)}),i.postMessage({id:a,name:e,payload:t},n)})})}var Cs=(e,t,n,r)=>Ss(`findClusters`,[e,t,n,r],[e.buffer]),ws=(...e)=>Ss(`dynamicLabelPlacement`,e);async function Ts(e,t,n){let r=t.reduce((e,t)=>Math.min(e,t.level??0),0),i=t.reduce((e,t)=>Math.max(e,t.level??0),0),a=e*.5,o=e*2,s=t.map(e=>{let t={x:e.x,y:e.y},a=e.level??0,s=a==0?14:12,c;return typeof e.content==`string`?(c=vs({text:e.content,fontSize:s,fontFamily:n}),c.width+=4,c.height+=4):c={width:e.content.width+4,height:e.content.height+4},{content:e.content,fontSize:s,bounds:{xMin:t.x-c.width/2,xMax:t.x+c.width/2,yMin:t.y-c.height/2,yMax:t.y+c.height/2},locationAtZero:t,priority:e.priority,minScale:e.level==i?null:1/(o*2**a*1.2),maxScale:e.level==r?null:1/(o*2**(a-1)),coordinate:{x:e.x,y:e.y},placement:null}}),c=await ws(s,{globalMaxScale:1/a});for(let e=0;e<c.length;e++){let t=c[e];if(t!=null){let n=1/t.minScale,r=1/t.maxScale;s[e].placement={minScale:r,maxScale:n}}}return s}var Es=v(g(((e,t)=>{(function(){function e(e,t){var n=e.x-t.x,r=e.y-t.y;return n*n+r*r}function n(e,t,n){var r=t.x,i=t.y,a=n.x-r,o=n.y-i;if(a!==0||o!==0){var s=((e.x-r)*a+(e.y-i)*o)/(a*a+o*o);s>1?(r=n.x,i=n.y):s>0&&(r+=a*s,i+=o*s)}return a=e.x-r,o=e.y-i,a*a+o*o}function r(t,n){for(var r=t[0],i=[r],a,o=1,s=t.length;o<s;o++)a=t[o],e(a,r)>n&&(i.push(a),r=a);return r!==a&&i.push(a),i}function i(e,t,r,a,o){for(var s=a,c,l=t+1;l<r;l++){var u=n(e[l],e[t],e[r]);u>s&&(c=l,s=u)}s>a&&(c-t>1&&i(e,t,c,a,o),o.push(e[c]),r-c>1&&i(e,c,r,a,o))}function a(e,t){var n=e.length-1,r=[e[0]];return i(e,0,n,t,r),r.push(e[n]),r}function o(e,t,n){if(e.length<=2)return e;var i=t===void 0?1:t*t;return e=n?e:r(e,i),e=a(e,i),e}typeof define==`function`&&define.amd?define(function(){return o}):t===void 0?typeof self<`u`?self.simplify=o:window.simplify=o:(t.exports=o,t.exports.default=o)})()}))(),1);function Ds(e,t){let n=e.slice();for(let e=0;e<t;e++){let e=[],t=n.length;for(let r=0;r<t;r++){let i=n[r],a=n[(r+1)%t],o={x:.75*i.x+.25*a.x,y:.75*i.y+.25*a.y},s={x:.25*i.x+.75*a.x,y:.25*i.y+.75*a.y};e.push(o,s)}n=e}return n}function Os(e,t){let n=Ds(e,5),r=Mi(n),i=Math.max(r.xMax-r.xMin,r.yMax-r.yMin)/100,a=(0,Es.default)(n,i),o=0;for(;a.length>t&&o<20;)i*=1.1,o+=1,a=(0,Es.default)(n,i);return a}var ks={light:{fontFamily:`system-ui,sans-serif`,clusterLabelColor:`#000`,clusterLabelOutlineColor:`rgba(255,255,255,0.8)`,clusterLabelOpacity:.8,statusBar:!0,statusBarTextColor:`#525252`,statusBarBackgroundColor:`rgba(255,255,255,0.9)`,brandingLink:{text:`Embedding Atlas`,href:`https://apple.github.io/embedding-atlas`}},dark:{fontFamily:`system-ui,sans-serif`,clusterLabelColor:`#ccc`,clusterLabelOutlineColor:`rgba(0,0,0,0.8)`,clusterLabelOpacity:.8,statusBar:!0,statusBarTextColor:`#d9d9d9`,statusBarBackgroundColor:`rgba(0,0,0,0.9)`,brandingLink:{text:`Embedding Atlas`,href:`https://apple.github.io/embedding-atlas`}}};function As(e,t){return e==null?ks[t]:{...ks[t],...e,...e[t]==null?{}:e[t]}}function js(e,t,n,r,i,a,o){let s=Math.max(r,i)/a,c=e/(n*n)/(s*s),l=1/(c/(a*a))*.2,u=Math.sqrt(e/t/(s*s)),d=(Math.min(Math.max((Math.log(n)-Math.log(u))*2,-1),1)+1)/2,f;if(o!=null)f=o*a;else{let e=.25/Math.sqrt(c);f=Math.max(.2,Math.min(5,e))*a}let p=1-d,m=.5+d*.5;return{densityScaler:l,densityAlpha:p,contoursAlpha:p,pointSize:f,pointAlpha:.7,pointsAlpha:m,densityBandwidth:20}}var Ms=Rr(`<div></div>`),Ns=Br(`<circle></circle>`),Ps=Br(`<image></image>`),Fs=Br(`<text dominant-baseline="middle"> </text>`),Is=Br(`<g></g>`),Ls=Br(`<g><!></g>`),Rs=Rr(`<div><canvas></canvas> <div><!></div> <svg role="none"><!><!><!><!></svg> <!> <!></div>`);function zs(e,t){$e(t,!0);let n=$(t,`data`,19,()=>({x:new Float32Array,y:new Float32Array,category:null})),r=$(t,`categoryCount`,3,1),i=$(t,`categoryColors`,3,null),a=$(t,`width`,3,800),o=$(t,`height`,3,800),s=$(t,`pixelRatio`,3,2),l=$(t,`theme`,3,null),u=$(t,`config`,3,null),d=$(t,`totalCount`,3,null),f=$(t,`maxDensity`,3,null),p=$(t,`labels`,3,null),m=$(t,`queryClusterLabels`,3,null),h=$(t,`tooltip`,7,null),g=$(t,`selection`,7,null),_=$(t,`querySelection`,3,null),v=$(t,`rangeSelection`,7,null),y=$(t,`defaultViewportState`,3,null),x=$(t,`viewportState`,7,null),S=$(t,`customTooltip`,3,null),C=$(t,`customOverlay`,3,null),w=$(t,`onViewportState`,3,null),T=$(t,`onTooltip`,3,null),ee=$(t,`onSelection`,3,null),te=$(t,`onRangeSelection`,3,null),ne=$(t,`cache`,3,null),re=B(()=>u()?.colorScheme??`light`),ie=B(()=>As(l(),K(re))),ae=B(()=>i()??Ha(r())),oe=B(()=>x()??y()??{x:0,y:0,scale:1}),se=B(()=>new Ya(K(oe),a(),o())),ce=B(()=>K(se).pixelLocationFunction()),le=B(()=>K(se).coordinateAtPixelFunction()),ue=V(!1);function de(e,t){return e.x==t.x&&e.y==t.y&&e.category==t.category&&e.text==t.text}let fe=B(()=>g()?.length==1&&h()!=null&&de(g()[0],h()));function pe(e){Pi(x(),e)||(x(e),w()?.(e))}function E(e){Pi(h(),e)||(h(e),T()?.(e))}function me(e){Pi(g(),e)||(g(e),ee()?.(e))}function he(e){Pi(v(),e)||(v(e),te()?.(e))}let ge=V(pt([])),_e=V(null),ve=V(`none`),ye=B(()=>a()*s()),be=B(()=>o()*s()),D=V(null),O=V(null),xe=V(null),Se=B(()=>u()?.minimumDensity??1/16),Ce=B(()=>u()?.pointSize??null),we=B(()=>u()?.mode??`points`),Te=B(()=>u()?.autoLabelEnabled),Ee=B(()=>u()?.downsampleMaxPoints??4e6),De=B(()=>u()?.downsampleDensityWeight??5),Oe=B(()=>js(f()??(d()??n().x.length)/4,K(Se),K(oe).scale,K(ye),K(be),s(),K(Ce))),ke=B(()=>K(Oe).pointSize),Ae=!0,je=null;cr(()=>{p()!==je&&(je=p(),Ae=!0),K(O)?.setProps({mode:K(we),colorScheme:K(re),viewportX:K(oe).x,viewportY:K(oe).y,viewportScale:K(oe).scale,width:K(ye),height:K(be),x:n().x,y:n().y,category:n().category,categoryCount:r(),categoryColors:K(ae),downsampleMaxPoints:K(Ee),downsampleDensityWeight:K(De),...K(Oe)})&&Pe(),(K(Te)!==!1||p()!=null)&&Ae&&K(O)!=null&&n().x!=null&&n().x.length>0&&y()!=null&&(Ae=!1,Je(y()))});function Me(){Ne=null,K(D)&&K(O)&&(K(D).width=K(O).props.width,K(D).height=K(O).props.height,K(D).style.width=`${K(O).props.width/s()}px`,K(D).style.height=`${K(O).props.height/s()}px`,K(O).render())}let Ne=null;function Pe(){Ne??=requestAnimationFrame(Me)}function Fe(e){H(xe,`WebGPU is unavailable. Falling back to WebGL.`);let t;function n(){t=e.getContext(`webgl2`,{antialias:!1}),t==null?console.error(`Could not get WebGL 2 context`):(t.getExtension(`EXT_color_buffer_float`),t.getExtension(`EXT_float_blend`),t.getExtension(`OES_texture_float_linear`),H(O,new Fo(t,K(ye),K(be)),!0))}n(),e.addEventListener(`webglcontextlost`,()=>{K(O)?.destroy(),H(O,null),t=null}),e.addEventListener(`webglcontextrestored`,()=>{n()})}function Ie(e){let t=!0;async function n(){let r=await b();if(r==null){console.error(`Could not get WebGPU device`),t&&Fe(e);return}let i=e.getContext(`webgpu`);if(i==null){console.error(`Could not get WebGPU canvas context`),t&&Fe(e);return}t=!1,r.addEventListener(`uncapturederror`,e=>{console.error(`WebGPU uncaptured error:`,e.error)}),r.lost.then(async e=>{console.info(`WebGPU device was lost: ${e.message}`),e.reason!=`destroyed`&&(K(O)?.destroy(),H(O,null),i.unconfigure(),await n())});let a=navigator.gpu.getPreferredCanvasFormat();i.configure({device:r,format:a,alphaMode:`premultiplied`}),H(O,new us(i,r,a,K(ye),K(be)),!0)}n()}function Le(e){e!=null&&x()==null&&pe(e)}cr(()=>Le(y())),ei(()=>{if(K(D)==null)return;Ie(K(D));let e=K(D).toDataURL;K(D).toDataURL=(...t)=>(Me(),e.apply(K(D),t))}),ti(()=>{K(O)?.destroy(),H(O,null)});function Re(e){let t=K(D)?.getBoundingClientRect()??{left:0,top:0};return{x:e.clientX-t.left,y:e.clientY-t.top}}function ze(e){e.preventDefault();let{x:t,y:n}=Re(e);Be(Math.exp(-e.deltaY/200),{x:t,y:n})}function Be(e,t){let{x:n,y:r,scale:i}=K(oe);E(null);let a=(y()?.scale??1)*100,o=(y()?.scale??1)*.01,s=Math.min(a,Math.max(o,i*e)),c=K(D).getBoundingClientRect(),l=Math.max(c.width,c.height),u=(t.x-c.width/2)/l*2,d=(c.height/2-t.y)/l*2;pe({x:n+u/i-u/s,y:r+d/i-d/s,scale:s})}function Ve(e){E(null);let t=`pan`;K(ve)==`none`?e.modifiers.shift&&(t=e.modifiers.meta?`lasso`:`marquee`):e.modifiers.shift||(t=K(ve));let n=Re(e);switch(t){case`marquee`:return{move:e=>{if(E(null),K(O)==null)return;let t=Re(e),r=K(le)(n.x,n.y),i=K(le)(t.x,t.y);he({xMin:Math.min(r.x,i.x),yMin:Math.min(r.y,i.y),xMax:Math.max(r.x,i.x),yMax:Math.max(r.y,i.y)})}};case`lasso`:{let e=[K(le)(n.x,n.y)];return{move:t=>{if(E(null),K(O)==null)return;let n=Re(t);e=[...e,K(le)(n.x,n.y)],e.length>=3&&he(Os(e,24))}}}case`pan`:{let t=K(le)(0,0),n=K(le)(1,1),r=t.x-n.x,i=t.y-n.y,a=K(oe).x,o=K(oe).y;return{move:t=>{pe({x:a+(t.clientX-e.clientX)*r,y:o+(t.clientY-e.clientY)*i,scale:K(oe).scale})}}}}}async function He(e){if(v()!=null)he(null);else{let t=await Ge(Re(e));if(t==null)me([]),E(null);else if(e.modifiers.shift||e.modifiers.ctrl||e.modifiers.meta){let e=g()?.findIndex(e=>e.x==t.x&&e.y==t.y&&e.category==t.category);g()==null||e==null||e<0?(me([...g()??[],t]),E(t)):(me([...g().slice(0,e),...g().slice(e+1)]),E(null))}else me([t]),E(t)}}let Ue=ki(async e=>{let t=e?Re(e):null;if(g()!=null&&g().length==1){let e=K(ce)(g()[0].x,g()[0].y);t!=null&&Ai(t,e)<10&&E(g()[0])}else E(await Ge(t))},()=>h()!=null);function We(e){e==null?Ue(null):K(ue)||Ue(e)}cr(()=>{K(ue)&&Ue(null)});async function Ge(e){if(K(O)==null||e==null||_()==null)return null;let{x:t,y:n}=K(le)(e.x,e.y),r=Math.abs(K(le)(e.x+1,e.y).x-t);return await _()(t,n,r)}async function Ke(e,t,n,r=.005){let i=await e.densityMap(1e3,1e3,t,n),a=await Cs(i.data,i.width,i.height),o=[];for(let e=0;e<a.length;e++){let n=a[e],r=i.coordinateAtPixel(n.meanX,n.meanY),s=n.boundaryRectApproximation.map(([e,t,n,r])=>{let a=i.coordinateAtPixel(e,t),o=i.coordinateAtPixel(n,r);return{xMin:Math.min(a.x,o.x),xMax:Math.max(a.x,o.x),yMin:Math.min(a.y,o.y),yMax:Math.max(a.y,o.y)}});o.push({x:r.x,y:r.y,sumDensity:n.sumDensity,rects:s,bandwidth:t})}let s=o.reduce((e,t)=>Math.max(e,t.sumDensity),0);return o.filter(e=>e.sumDensity/s>r)}async function qe(e){if(K(O)==null||m()==null)return[];let t=await Ni({autoLabel:{version:3,viewport:e,stopWords:u()?.autoLabelStopWords,densityThreshold:u()?.autoLabelDensityThreshold}});if(ne()!=null){let e=await ne().get(t);if(e!=null)return e}let n=await Ke(K(O),10,e,u()?.autoLabelDensityThreshold??.005);n=n.concat(await Ke(K(O),5,e));let r=await m()(n.map(e=>e.rects));for(let e=0;e<n.length;e++){let t=r[e];n[e].content=t,typeof t==`object`&&t&&`x`in t&&`y`in t&&t.x!=null&&t.y!=null&&(n[e].x=t.x,n[e].y=t.y)}let i=n.filter(e=>e.content!=null&&(typeof e.content!=`string`||e.content.length>0)).map(e=>({x:e.x,y:e.y,content:e.content,priority:e.sumDensity,level:e.bandwidth==10?0:1}));return ne()!=null&&await ne().set(t,i),i}async function Je(e){let t=new Ya(e,1e3,1e3);if(K(O)!=null){if(p()!=null)H(ge,await Ts(t.scale(),p(),K(ie).fontFamily),!0);else{H(_e,`Generating labels...`);try{let n=await qe(e);H(ge,await Ts(t.scale(),n,K(ie).fontFamily),!0)}catch(e){console.error(`Error while generating labels`,e)}finally{H(_e,null)}}}}class Ye{content;constructor(e,t){let n=document.createElement(`div`);this.content=n,this.update(t),e.appendChild(n)}update(e){let t=this.content;t.style.fontFamily=e.fontFamily,K(re)==`light`?(t.style.color=`#000`,t.style.background=`#fff`,t.style.border=`1px solid #000`):(t.style.color=`#ccc`,t.style.background=`#000`,t.style.border=`1px solid #ccc`),t.style.borderRadius=`2px`,t.style.padding=`5px`,t.style.fontSize=`12px`,t.style.maxWidth=`300px`,t.innerText=e.tooltip.text??JSON.stringify(e.tooltip)}}function Xe(e){e.addEventListener(`wheel`,()=>{},{passive:!0})}var k=Rs();let Ze;var A=I(k);Z(A,``,{},{position:`absolute`,top:`0`,left:`0`}),Ei(A,e=>H(D,e),()=>K(D));var Qe=L(A,2);let tt;var nt=I(Qe),rt=e=>{let t=B(()=>Zi(C())),n=B(()=>({location:K(ce),width:a(),height:o()}));var r=Vr();ri(St(r),()=>K(t),e=>{var r=Ms();mi(r,(e,n)=>K(t)?.(e,n),()=>Qi(C(),{proxy:K(n)})),Y(e,r)}),Y(e,r)};X(nt,e=>{C()&&e(rt)}),F(Qe);var j=L(Qe,2);Z(j,``,{},{position:`absolute`,left:`0`,top:`0`});var it=I(j),at=e=>{let t=B(()=>{let{x:e,y:t}=K(ce)(h().x,h().y);return{x:e,y:t}}),n=B(()=>Math.max(3,K(ke)/s())+1);var r=Vr(),i=St(r),a=e=>{var r=Ns();let i;q(()=>{Q(r,`cx`,K(t).x),Q(r,`cy`,K(t).y),Q(r,`r`,K(n)),i=Z(r,``,i,{stroke:K(re)==`light`?`#000`:`#fff`,"stroke-width":1,fill:`none`})}),Y(e,r)},o=B(()=>isFinite(K(t).x)&&isFinite(K(t).y)&&isFinite(K(n)));X(i,e=>{K(o)&&e(a)}),Y(e,r)};X(it,e=>{h()!=null&&K(O)!=null&&e(at)});var ot=L(it),st=e=>{var t=Vr();ci(St(t),17,g,ii,(e,t)=>{let n=B(()=>{let{x:e,y:n}=K(ce)(K(t).x,K(t).y);return{x:e,y:n}}),r=B(()=>K(t).category==null?K(ae)[0]:K(ae)[K(t).category]),i=B(()=>Math.max(3,K(ke)/s())+1);var a=Vr(),o=St(a),c=e=>{var t=Ns();let a;q(()=>{Q(t,`cx`,K(n).x),Q(t,`cy`,K(n).y),Q(t,`r`,K(i)),a=Z(t,``,a,{stroke:K(re)==`light`?`#000`:`#fff`,"stroke-width":2,fill:K(r)})}),Y(e,t)},l=B(()=>isFinite(K(n).x)&&isFinite(K(n).y)&&isFinite(K(i)));X(o,e=>{K(l)&&e(c)}),Y(e,a)}),Y(e,t)};X(ot,e=>{g()!=null&&K(O)!=null&&e(st)});var M=L(ot),ct=e=>{var t=Is();ci(t,21,()=>K(ge),ii,(e,t)=>{let n=B(()=>K(ce)(K(t).coordinate.x,K(t).coordinate.y)),r=B(()=>K(se).scale()),i=B(()=>K(t).placement!=null&&K(t).placement.minScale<=K(r)&&K(r)<=K(t).placement.maxScale);var a=Ls(),o=I(a),s=e=>{var n=Vr(),r=St(n),i=e=>{var n=Ps();let r;q(()=>{Q(n,`href`,K(t).content.image),Q(n,`x`,-K(t).content.width/2),Q(n,`y`,-K(t).content.height/2),Q(n,`width`,K(t).content.width),Q(n,`height`,K(t).content.height),r=Z(n,``,r,{"user-select":`none`,"-webkit-user-select":`none`,opacity:K(ie).clusterLabelOpacity})}),Y(e,n)},a=e=>{let n=B(()=>K(t).content.split(`
`));var r=Is();ci(r,21,()=>K(n),ii,(e,r,i)=>{var a=Fs();Q(a,`x`,0);let o;var s=I(a,!0);F(a),q(()=>{Q(a,`y`,(i-(K(n).length-1)/2)*K(t).fontSize),Q(a,`font-size`,K(t).fontSize),o=Z(a,``,o,{"paint-order":`stroke`,"stroke-width":`4`,"stroke-linejoin":`round`,"stroke-linecap":`round`,"text-anchor":`middle`,fill:K(ie).clusterLabelColor,stroke:K(ie).clusterLabelOutlineColor,opacity:K(ie).clusterLabelOpacity,"user-select":`none`,"-webkit-user-select":`none`,"font-family":K(ie).fontFamily}),Wr(s,K(r))}),Y(e,a)}),F(r),Y(e,r)};X(r,e=>{typeof K(t).content==`string`?e(a,-1):e(i)}),Y(e,n)};X(o,e=>{K(i)&&e(s)}),F(a),q(()=>Q(a,`transform`,`translate(${K(n).x??``},${K(n).y??``})`)),Y(e,a)}),F(t),Y(e,t)};X(M,e=>{e(ct)});var N=L(M),P=e=>{var t=Vr(),n=St(t),r=e=>{Ri(e,{get value(){return v()},get pointLocation(){return K(ce)}})},i=e=>{Oi(e,{get value(){return v()},onChange:he,get pointLocation(){return K(ce)},get coordinateAtPoint(){return K(le)},preventHover:e=>{H(ue,e,!0)}})};X(n,e=>{v()instanceof Array?e(r):e(i,-1)}),Y(e,t)};X(N,e=>{v()!=null&&K(O)!=null&&e(P)}),F(j),mi(j,(e,t)=>c?.(e,t),()=>({click:He,drag:Ve,hover:We}));var lt=L(j,2),ut=e=>{let t=B(()=>K(ce)(h().x,h().y));{let n=B(()=>Math.max(3,K(ke)/s())),r=B(()=>S()??{class:Ye,props:{colorScheme:K(re),fontFamily:K(ie).fontFamily}});ea(e,{get location(){return K(t)},get allowInteraction(){return K(fe)},get targetHeight(){return K(n)},get customTooltip(){return K(r)},get tooltip(){return h()}})}};X(lt,e=>{h()!=null&&K(O)!=null&&e(ut)});var dt=L(lt,2),ft=e=>{{let t=B(()=>K(_e)??K(xe)),r=B(()=>1/(K(ce)(1,0).x-K(ce)(0,0).x));Ji(e,{get resolvedTheme(){return K(ie)},get statusMessage(){return K(t)},get distancePerPoint(){return K(r)},get pointCount(){return n().x.length},get selectionMode(){return K(ve)},onSelectionMode:e=>H(ve,e,!0)})}};X(dt,e=>{K(ie).statusBar&&e(ft)}),F(k),mi(k,e=>Xe?.(e)),q(()=>{Ze=Z(k,``,Ze,{width:`${a()??``}px`,height:`${o()??``}px`,position:`relative`}),tt=Z(Qe,``,tt,{width:`${a()??``}px`,height:`${o()??``}px`,position:`absolute`,top:`0`,left:`0`}),Q(j,`width`,a()),Q(j,`height`,o())}),kr(`wheel`,j,ze),Y(e,k),et()}function Bs(e,t,n=0,r=e.length-1,i=Hs){for(;r>n;){if(r-n>600){let a=r-n+1,o=t-n+1,s=Math.log(a),c=.5*Math.exp(2*s/3),l=.5*Math.sqrt(s*c*(a-c)/a)*(o-a/2<0?-1:1);Bs(e,t,Math.max(n,Math.floor(t-o*c/a+l)),Math.min(r,Math.floor(t+(a-o)*c/a+l)),i)}let a=e[t],o=n,s=r;for(Vs(e,n,t),i(e[r],a)>0&&Vs(e,n,r);o<s;){for(Vs(e,o,s),o++,s--;i(e[o],a)<0;)o++;for(;i(e[s],a)>0;)s--}i(e[n],a)===0?Vs(e,n,s):(s++,Vs(e,s,r)),s<=t&&(n=s+1),t<=s&&(r=s-1)}}function Vs(e,t,n){let r=e[t];e[t]=e[n],e[n]=r}function Hs(e,t){return e<t?-1:+(e>t)}var Us=new Float32Array;function Ws(e){let t=e.length;if(t===0)return 0;Us.length<t&&(Us=new Float32Array(t)),Us.set(e);let n=Math.floor(t/2);return Bs(Us,n,0,t-1),Us[n]}function Gs(e){let t=e.length;if(t===0)return 0;let n=e[0],r=0,i=0;for(let a=0;a<t;a++){let t=e[a]-n;r+=t,i+=t*t}let a=r/t,o=i/t-a*a;return Math.sqrt(o>0?o:0)}var Ks=256,qs=null;function Js(e,t,n,r=0,i=0){let a=Ks,o=qs;o==null?(o=new Int32Array(a*a),qs=o):o.fill(0);let s=0;for(let c=0;c<e.length;c++){let l=Math.floor((e[c]-r)/n)+128,u=Math.floor((t[c]-i)/n)+128;if(l<0||l>=a||u<0||u>=a)continue;let d=++o[u*a+l];d>s&&(s=d)}return s/(n*n)}function Ys(e,t){$e(t,!0);let n=$(t,`tooltip`,3,null),r=$(t,`selection`,3,null),i=$(t,`rangeSelection`,3,null),a=$(t,`categoryColors`,3,null),o=$(t,`width`,3,null),s=$(t,`height`,3,null),c=$(t,`pixelRatio`,3,null),l=$(t,`theme`,3,null),u=$(t,`config`,3,null),d=$(t,`viewportState`,3,null),f=$(t,`labels`,3,null),p=$(t,`customTooltip`,3,null),m=$(t,`customOverlay`,3,null),h=$(t,`querySelection`,3,null),g=$(t,`queryClusterLabels`,3,null),_=$(t,`onViewportState`,3,null),v=$(t,`onTooltip`,3,null),y=$(t,`onSelection`,3,null),b=$(t,`onRangeSelection`,3,null),x=$(t,`cache`,3,null),S=B(()=>T(t.data)),C=null,w=1;function T(e){let t=1;e.category!=null&&(e.category===C?t=w:(t=e.category.reduce((e,t)=>Math.max(e,t),0)+1,C=e.category,w=t));let n=Ws(e.x),r=Ws(e.y),i=Gs(e.x),a=Gs(e.y),o=1/(Math.max(i,a,.001)*3),s=.1/o,c=Js(e.x,e.y,s,n,r);return{count:e.x.length,categoryCount:t,maxDensity:c,defaultViewportState:{x:n,y:r,scale:o*.95}}}{let C=B(()=>o()??800),w=B(()=>s()??800),T=B(()=>c()??2),ee=B(()=>({x:t.data.x,y:t.data.y,category:t.data.category??null}));zs(e,{get width(){return K(C)},get height(){return K(w)},get pixelRatio(){return K(T)},get theme(){return l()},get config(){return u()},get data(){return K(ee)},get totalCount(){return K(S).count},get maxDensity(){return K(S).maxDensity},get categoryCount(){return K(S).categoryCount},get categoryColors(){return a()},get defaultViewportState(){return K(S).defaultViewportState},get querySelection(){return h()},get queryClusterLabels(){return g()},get labels(){return f()},get customTooltip(){return p()},get customOverlay(){return m()},get tooltip(){return n()},get onTooltip(){return v()},get selection(){return r()},get onSelection(){return y()},get viewportState(){return d()},get onViewportState(){return _()},get rangeSelection(){return i()},get onRangeSelection(){return b()},get cache(){return x()}})}et()}var Xs=class{component;currentProps;constructor(e,t){this.currentProps={...t},this.component=Zr({component:Ys,target:e,props:t})}update(e){let t={};for(let n in e)e[n]!==this.currentProps[n]&&(t[n]=e[n],this.currentProps[n]=e[n]);this.component.$set(t)}destroy(){this.component.$destroy()}},Zs=class{x;y;cells=new Map;left;low;size;constructor(e,t){this.x=e,this.y=t,[this.left,this.low]=[ec(e),ec(t)];let n=Math.max(1e-9,(-ec(e.map(e=>-e))-this.left)*(-ec(t.map(e=>-e))-this.low));this.size=Math.max(1e-6,Math.sqrt(4*n/Math.max(1,e.length))),e.forEach((e,n)=>{let r=this.key(this.column(e),this.row(t[n])),i=this.cells.get(r);i?i.push(n):this.cells.set(r,[n])})}at(e,t,n){let r=null,i=n*n;for(let a=this.column(e-n);a<=this.column(e+n);a++)for(let o=this.row(t-n);o<=this.row(t+n);o++)for(let n of this.cells.get(this.key(a,o))??[]){let a=(this.x[n]-e)**2+(this.y[n]-t)**2;a<=i&&([r,i]=[n,a])}return r}column(e){return Math.floor((e-this.left)/this.size)}row(e){return Math.floor((e-this.low)/this.size)}key(e,t){return e*1000003+t}};function Qs(e,t,n){let{left:r,right:i,low:a,high:o}=$s(e),s=[];for(let c=0;c<t.length;c++){let[l,u]=[t[c],n[c]];if(l<r||l>i||u<a||u>o)continue;let d=!1,f=e[e.length-1];for(let t of e)t.y>u!=f.y>u&&l<(f.x-t.x)*(u-t.y)/(f.y-t.y)+t.x&&(d=!d),f=t;d&&s.push(c)}return s}function $s(e){let[t,n]=[e.map(e=>e.x),e.map(e=>e.y)];return{left:Math.min(...t),right:Math.max(...t),low:Math.min(...n),high:Math.max(...n)}}var ec=e=>e.reduce((e,t)=>Math.min(e,t),1/0),tc=50,nc=3,rc=200,ic=1e4;function ac(e){let t=Math.ceil(e.x.length/ic),n=(e,n)=>n%t===0;return t<=1?e:{x:e.x.filter(n),y:e.y.filter(n),category:e.category.filter(n)}}var oc=class{change;slow=0;timed=!1;moves=!1;timer=0;constructor(e){this.change=e}begin(){[this.slow,this.moves]=[0,!1],window.clearTimeout(this.timer)}moved(){if(window.clearTimeout(this.timer),this.slow<nc)return this.time();this.set(!0),this.timer=window.setTimeout(()=>this.set(!1),rc)}set(e){e!==this.moves&&this.change(e),this.moves=e}time(){this.timed||(this.timed=!0,requestAnimationFrame(e=>requestAnimationFrame(t=>{this.timed=!1,this.slow=Math.max(0,this.slow+(t-e>tc?1:-.1))})))}},sc=1500,cc=200,lc=200,uc=50,dc=30,fc=12,pc=2,mc={x:new Float32Array,y:new Float32Array,category:new Uint8Array},hc={mode:`points`,autoLabelEnabled:!1,colorScheme:matchMedia(`(prefers-color-scheme: dark)`).matches?`dark`:`light`},gc=[`document`,`query`],_c=[`#1f6feb`,`#c4570e`,`#0a8f6f`,`#b3318f`,`#7a5af0`,`#9a7a00`,`#d02f3a`,`#0b87a8`,`#5d7d1e`,`#8a6048`,`#7d8794`,`#e0a020`,`#333c4a`],vc=class{root=t(`section`,{class:`map`,"aria-label":`Map`});place=t(`div`,{class:`canvas`});said=t(`p`,{class:`caption`,role:`status`});by=t(`select`,{id:`by`,onchange:()=>void this.colour()});query=t(`input`,{type:`search`,id:`light`,placeholder:`Light up what a query finds`,autocomplete:`off`,"aria-label":`Light up what a query finds`});legend=t(`ul`,{class:`legend`});held=t(`div`,{class:`held`,"aria-live":`polite`});view=null;near=null;x=new Float32Array;y=new Float32Array;codes=new Uint8Array;points=[mc,mc];pace=new oc(e=>this.view?.update(e?{data:this.points[1],pixelRatio:1,config:{...hc,pointSize:1}}:{data:this.points[0],pixelRatio:pc,config:hc}));ids=[];rows=new Map;state=null;shown=0;timer=0;frame=0;rest=0;running=new AbortController;size=new ResizeObserver(()=>this.view?.update(this.extent()));constructor(){let e=t(`form`,{onsubmit:e=>{e.preventDefault(),this.light()}},this.query,t(`label`,{for:`by`},`Colour by `,this.by));this.root.append(e,this.said,this.legend,this.place,this.held),this.load()}restore(){this.load()}leave(){window.clearTimeout(this.timer),window.clearTimeout(this.rest),window.cancelAnimationFrame(this.frame)}async load(){if(!bc())this.said.textContent=`The map is drawn by WebGPU or WebGL 2, and this browser offers neither.`;else try{this.state=await r(`/map`),this.state.version>this.shown&&await this.draw(this.state);let{points:e,documents:t,method:n,final:i}=this.state,a=e-t;this.said.textContent=`${t.toLocaleString(`en`)} documents${a?` and ${a.toLocaleString(`en`)} ${a===1?`query`:`queries`}`:``}${n?`, placed by ${n}`:`, being placed`}${i?``:`; a better layout (UMAP) is being made`}. Drag to move, turn the wheel to zoom; the signs at the lower right draw a rectangle or a lasso.`,window.clearTimeout(this.timer),!i&&this.root.isConnected&&(this.timer=window.setTimeout(()=>void this.load(),this.state.version?sc:cc))}catch(e){this.said.textContent=e instanceof Error?e.message:String(e)}}async draw(e){let r=[`kind`,`cluster`,...e.findings?[`finding`]:[],...e.fields];this.by.options.length!==r.length&&this.by.replaceChildren(...r.map(e=>t(`option`,{value:e},e)));let i=this.by.value,[a,o]=await Promise.all([n(`/map/places`).then(e=>e.arrayBuffer()),this.colours()]),s=new Float32Array(a),c=s.length/2;[this.x,this.y,this.shown]=[s.slice(0,c),s.slice(c),e.version],this.paint(i===this.by.value?o:await this.colours()),this.near=new Zs(this.x,this.y),this.ids.length||await this.name()}async name(){this.ids=(await r(`/map/ids`)).ids,this.rows=new Map(this.ids.map((e,t)=>[e,t]))}async colour(){let e=this.by.value,t=await this.colours();e===this.by.value&&this.paint(t)}colours(){return r(`/map/colours?${new URLSearchParams({by:this.by.value})}`)}paint({names:e,codes:n}){this.codes=Uint8Array.from(atob(n),e=>e.charCodeAt(0));let r={x:this.x,y:this.y,category:this.codes};this.points=[r,ac(r)],this.pace.begin(),this.legend.replaceChildren(...e.map((e,n)=>t(`li`,{},t(`span`,{class:`dot`,style:`background: ${_c[n%_c.length]}`}),e)));let i=this.by.value===`finding`?this.numbers(t=>!gc.includes(e[t])):[],a={data:this.points[0],categoryColors:e.map((e,t)=>_c[t%_c.length]),...this.extent(),pixelRatio:pc,config:hc,tooltip:null,selection:i.map(e=>this.spot(e))};if(i.length&&this.list(i,`${i.length} in examples of the doctor's findings`),this.view)return this.view.update(a);this.size.observe(this.place),this.view=new Xs(this.place,{...a,theme:{brandingLink:null},onViewportState:()=>this.pace.moved(),querySelection:(e,t,n)=>this.nearest(e,t,n),onRangeSelection:e=>void this.hold(e),customTooltip:yc})}extent(){return{width:Math.max(200,this.place.clientWidth),height:Math.max(200,this.place.clientHeight)}}async nearest(e,t,n){let i=this.near?.at(e,t,fc*n)??null;if(i===null)return null;let{id:a,text:o}=await r(`/map/points/${i}`);return{...this.spot(i),text:a?`${a}\n${o}`:`query: ${o}`}}numbers(e){let t=[];return this.codes.forEach((n,r)=>{e(n,r)&&t.push(r)}),t}spot(e){return{x:this.x[e],y:this.y[e],category:this.codes[e],identifier:e,text:this.ids[e]??``}}async light(){this.running.abort(),this.running=new AbortController;let t=this.query.value.trim();if(!t)return this.view?.update({selection:[]});let{hits:n}=await e(`model`,{query:t,k:uc,mode:`hybrid`,filter:``,explain:!1},this.running.signal);this.ids.length||await this.name();let r=n.map(({id:e})=>this.rows.get(e)).filter(e=>e!==void 0);this.view?.update({selection:r.map(e=>this.spot(e))}),this.list(r,`${r.length} of the first ${n.length} results are on the map`)}hold(e){if(window.cancelAnimationFrame(this.frame),window.clearTimeout(this.rest),!e)return this.held.replaceChildren();let n=Array.isArray(e)?e:[{x:e.xMin,y:e.yMin},{x:e.xMax,y:e.yMin},{x:e.xMax,y:e.yMax},{x:e.xMin,y:e.yMax}];this.frame=window.requestAnimationFrame(()=>{let e=Qs(n,this.x,this.y),r=`${e.length.toLocaleString(`en`)} points inside`;this.held.replaceChildren(t(`h2`,{},r)),this.rest=window.setTimeout(()=>this.list(e,r),lc)})}list(e,n){let a=e.slice(0,dc).map(e=>{let n=t(`li`,{},this.ids[e]??`query`);return r(`/map/points/${e}`).then(({id:e,text:r})=>n.replaceChildren(e?t(`a`,{href:`#/search?${new URLSearchParams({similar:e})}`},e):`query`,` ${r}`)).catch(()=>void 0),n}),o=e.length>dc?i(`${dc} more`,()=>this.list(e.slice(dc),n)):null;this.held.replaceChildren(t(`h2`,{},n),t(`ol`,{},...a),...o?[o]:[])}},yc=class{place;constructor(e,t){this.place=e,this.update(t)}update(e){this.place.replaceChildren(t(`p`,{class:`tip`},e.tooltip.text??``))}};function bc(){return`gpu`in navigator||document.createElement(`canvas`).getContext(`webgl2`)!==null}export{vc as DocumentMap};