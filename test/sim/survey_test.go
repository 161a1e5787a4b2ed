package sim
import ("testing";"fmt";"github.com/solevip/solevip/arbiter";"os";"strconv";"regexp")
func TestSurvey(t *testing.T){
 n,_:=strconv.Atoi(os.Getenv("SURVEY")); if n==0 {t.Skip("SURVEY unset")}
 re:=regexp.MustCompile(`[0-9]`)
 for _,pr:=range []arbiter.Protection{arbiter.ProtectFence, arbiter.ProtectLease}{
  by:=map[string]int{}; ex:=map[string]string{}
  for s:=*from; s<*from+uint64(n); s++{
   w:=New(PlanOf(s,pr),nil); f:=w.Run()
   if f!="" { k:=re.ReplaceAllString(f[:2]+f[min(len(f),20):],"#"); _ =k; k=f[:min(len(f),3)]; by[k]++; if len(ex[k])<1500 {ex[k]+=fmt.Sprintf("   %d: %s\n",s,f)} }
  }
  for k,c:=range by { fmt.Printf("%s %q: %d\n%s",pr,k,c,ex[k]) }
 }
}
